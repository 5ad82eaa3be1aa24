import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from distillation.scorecard import COLUMNS, Config, main, score, source_name
from distillation.scoring.results_csv import read_rows
from tests.distillation.saved_teachers import save_timm
from xdistill_encoder import XDistillResNet18

CPU = torch.device("cpu")


def run(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["xdistill scorecard", *arguments])
    main()


@pytest.fixture
def small(parquet, bank):
    """Settings of a scorecard over small images."""
    return partial(Config, queries=(parquet,), bank=(bank,), image_size=32, workers=0)


@pytest.fixture
def student(random_encoder, tmp_path) -> str:
    """An encoder whose head is as wide as the teacher of `teacher_spec`, in a folder."""
    torch.manual_seed(0)
    encoder = XDistillResNet18("batch", teacher_features=192).eval()
    return str(encoder.save_pretrained(tmp_path / "student"))


def test_an_untrained_encoder_tells_dark_from_bright(parquet, small):
    row = score(small(encoder="random"), CPU)
    assert row["encoder"] == "random"
    assert row["queries"] == Path(parquet).stem
    assert row["bank_images"] == row["query_images"] == 24
    assert row["knn10_percent"] == row["linear_probe_percent"] == 100
    assert row["effective_rank"] > 1
    assert row == score(small(encoder="random"), CPU)


def test_a_student_is_compared_with_its_teacher(student, teacher_spec, small):
    row = score(small(encoder=student, teacher=(teacher_spec,)), CPU)
    assert row["teacher"] == "vit_random"
    assert -1 <= row["teacher_cosine"] <= 1
    assert row["teacher_explained_variance"] < 0  # of random weights
    assert row["weights_sha256"]
    assert "teacher_head_top1_percent" not in row  # this teacher has no classifier


def test_without_a_bank_the_agreement_is_the_same_and_nothing_is_classified(parquet, student, teacher_spec, small):
    compared: dict[str, Any] = {"encoder": student, "teacher": (teacher_spec,)}
    alone = score(Config(queries=(parquet,), image_size=32, workers=0, **compared), CPU)
    assert alone.items() < score(small(**compared), CPU).items()
    assert {"teacher_explained_variance_standardized", "teacher_cosine", "effective_rank"} < set(alone)
    assert not any(name.startswith(("knn", "linear", "robustness", "bank")) for name in alone)


@pytest.mark.parametrize("settings", [{"encoder": "random"}, {"teacher": ("vit",)}])
def test_without_a_bank_an_encoder_and_its_teacher_are_needed(settings):
    with pytest.raises(ValueError, match="bank: expected labelled images, or an --encoder and its --teacher"):
        Config(queries=("queries",), **settings)


def test_without_a_bank_there_is_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match="plot: what is drawn are neighbours in a bank; name one"):
        Config(queries=("queries",), encoder="random", teacher=("vit",), plot=tmp_path / "scores.png")


def test_the_teachers_classifier_reads_what_the_student_estimates(student, tmp_path, small):
    """A classifier of two classes, which are the labels; of random weights."""
    spec, _ = save_timm(tmp_path, "vit_tiny_patch16_224", img_size=32, depth=1, num_classes=2)
    row = score(small(encoder=student, teacher=(spec,)), CPU)
    assert 0 <= row["teacher_head_agreement_percent"] <= 100
    assert 0 <= row["teacher_head_top1_percent"] <= 100
    alone = score(small(teacher=(spec,)), CPU)
    assert "teacher_head_agreement_percent" not in alone
    flipped = score(small(teacher=(spec,), teacher_classes=(1, 0)), CPU)
    assert alone["teacher_head_top1_percent"] + flipped["teacher_head_top1_percent"] == pytest.approx(100)


def test_a_teacher_alone_is_scored_itself(teacher_spec, small):
    row = score(small(teacher=(teacher_spec,)), CPU)
    assert (row["encoder"], row["image_size_px"]) == ("vit_random", 32)
    assert "teacher_cosine" not in row


def test_the_command_writes_json_a_row_and_a_picture(parquet, tmp_path, monkeypatch, capsys, bank):
    files = {name: tmp_path / f"scores.{name}" for name in ("json", "csv", "png")}
    options = ["--bank", bank, "--queries", parquet, "--image-size", "32", "--workers", "0"]
    outputs = ["--output", str(files["json"]), "--csv", str(files["csv"]), "--plot", str(files["png"])]
    for encoder in ("random", "torchvision/resnet18:random"):
        run(monkeypatch, *options, "--encoder", encoder, *outputs)
    printed = capsys.readouterr().out
    written = json.loads(files["json"].read_text())
    assert printed.endswith(files["json"].read_text())
    assert tuple(written) == COLUMNS
    first, second = read_rows(files["csv"])
    assert (first["encoder"], second["encoder"]) == ("random", "torchvision/resnet18:random")
    assert f"--bank {bank} " in second["command"]
    assert second == {key: "" if value is None else str(value) for key, value in written.items()}
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".*"))


def test_a_table_of_other_columns_is_refused_before_anything_is_scored(parquet, tmp_path, monkeypatch):
    table = tmp_path / "knn.csv"
    table.write_text("encoder,knn10_percent\n")
    options = ["--bank", parquet, "--queries", "/nowhere", "--encoder", "random", "--csv", str(table)]
    with pytest.raises(SystemExit, match=r"^xdistill scorecard: csv: .* has columns \['encoder', 'knn10_percent'\]"):
        run(monkeypatch, *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--encoder", "kettle"], "no checkpoint named 'kettle'"),
        (["--encoder", "random", "--teacher", "TEACHER"], "random has no teacher head"),
        (["--encoder", "STUDENT", "--teacher", "TEACHER", "TEACHER"], r"is 192 wide, .* are 192 \+ 192; give the"),
        (["--teacher", "TEACHER", "TEACHER"], "one is scored at a time, got 2"),
        (["--encoder", "random", "--beside", "/nowhere.csv"], "no file /nowhere.csv"),
    ],
)
def test_a_mistake_ends_the_command_in_one_line(parquet, student, teacher_spec, monkeypatch, options, message, bank):
    named = {"TEACHER": teacher_spec, "STUDENT": student}
    with pytest.raises(SystemExit, match=f"^xdistill scorecard: [^\n]*{message}[^\n]*$"):
        run(monkeypatch, "--bank", bank, "--queries", parquet, *(named.get(option, option) for option in options))


def test_other_classes_among_the_queries_are_refused(tmp_path, bank):
    for folder, kinds in {"bank": "ab", "fewer": "a", "others": "ac"}.items():
        for kind in kinds:
            (tmp_path / folder / kind).mkdir(parents=True)
            Image.new("RGB", (40, 40)).save(tmp_path / folder / kind / "0.png")
    for folder, message in {
        "fewer": "the bank has 2 classes, the queries have 1",
        "others": "class 1 is 'b' in",
    }.items():
        config = Config(queries=(str(tmp_path / folder),), bank=(str(tmp_path / "bank"),), encoder="random", workers=0)
        with pytest.raises(ValueError, match=message):
            score(config, CPU)


@pytest.mark.parametrize("field", ["image_size", "batch_size"])
def test_a_size_of_zero_is_refused(field, bank):
    sizes: dict[str, Any] = {field: 0}
    with pytest.raises(ValueError, match=f"{field}: expected 1 or more, got 0"):
        Config(queries=("queries",), bank=("bank",), **sizes)


def test_images_are_named_after_what_they_are(tmp_path):
    (tmp_path / "imagenet" / "val").mkdir(parents=True)
    (tmp_path / "caltech101_test.parquet").touch()
    assert source_name(str(tmp_path / "imagenet" / "val"), "train") == "imagenet/val"
    assert source_name(str(tmp_path / "caltech101_test.parquet"), "train") == "caltech101_test"
    assert source_name("ILSVRC/imagenet-1k", "validation") == "ILSVRC/imagenet-1k:validation"
