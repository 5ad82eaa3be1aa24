import io
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from distillation.datasets import open_labelled
from distillation.scoring.compared_teachers import embed_queries
from distillation.scoring.encoders import CentreView
from distillation.scoring.feature_scores import agreement_scores
from distillation.students import Student
from distillation.teachers import load_teacher
from distillation.training.monitor import Monitor, draw_curves


def write(path, rows) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_scores_beyond_the_step_of_a_resumed_run_are_dropped(tmp_path):
    write(tmp_path / "scores.jsonl", [{"step": 5, "knn10_percent": 50.0}, {"step": 10, "knn10_percent": 60.0}])
    Monitor((), (), tmp_path, Accelerator(cpu=True), start=7)
    assert [json.loads(line)["step"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()] == [5]


def test_scores_of_a_run_that_saved_nothing_are_dropped_whatever_they_are_of(tmp_path, parquet, bank):
    write(tmp_path / "scores.jsonl", [{"step": 0, "knn10_percent": 50.0, "scored_on": "other images"}])
    Monitor((bank,), (parquet,), tmp_path, Accelerator(cpu=True), start=0, workers=0)
    assert (tmp_path / "scores.jsonl").read_text() == ""


def test_a_bank_that_is_too_small_is_told_before_the_first_step(tmp_path):
    for images in ("bank", "queries"):
        for colour in ("black", "white"):
            (tmp_path / images / colour).mkdir(parents=True)
            Image.new("RGB", (40, 40), colour).save(tmp_path / images / colour / "a.png")
    with pytest.raises(ValueError, match="bank: expected 20 images or more, got 2; take a larger one"):
        Monitor((f"{tmp_path}/bank",), (f"{tmp_path}/queries",), tmp_path, Accelerator(cpu=True), start=0)


def test_without_labelled_images_the_loss_alone_is_drawn(tmp_path):
    write(tmp_path / "log.jsonl", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])
    Monitor((), (), tmp_path, Accelerator(cpu=True), start=0).measure(2, Student([8]), 32)
    assert not (tmp_path / "scores.jsonl").exists()
    alone = (tmp_path / "curve.png").read_bytes()
    assert alone.startswith(b"\x89PNG")
    write(tmp_path / "scores.jsonl", [{"step": 2, "knn10_percent": 60.0}])
    draw_curves(tmp_path)
    with_neighbours = (tmp_path / "curve.png").read_bytes()
    assert with_neighbours != alone
    write(tmp_path / "scores.jsonl", [{"step": 2, "knn10_percent": 60.0, "effective_rank": 9.0, "teacher_cosine": 0.5}])
    draw_curves(tmp_path)
    with_panels = (tmp_path / "curve.png").read_bytes()
    assert Image.open(io.BytesIO(with_panels)).height > Image.open(io.BytesIO(with_neighbours)).height


def test_what_would_be_exported_is_scored_and_compared_with_the_teachers(tmp_path, parquet, bank, teacher_spec):
    torch.manual_seed(0)
    teachers, cpu = [load_teacher(teacher_spec), load_teacher(teacher_spec, 48, "avg")], torch.device("cpu")
    student = Student([192, 192])
    student.standardize(torch.full((384,), 2.0), torch.full((384,), 3.0))
    monitor = Monitor((bank,), (parquet,), tmp_path, Accelerator(cpu=True), start=0, workers=0, teachers=teachers)
    monitor.measure(1, student, 32)
    monitor.measure(2, student, 32)
    first, second = ({**json.loads(line), "step": 0} for line in (tmp_path / "scores.jsonl").read_text().splitlines())
    assert first == second
    assert first["effective_rank"] > 1
    other = str(shutil.copy(parquet, tmp_path / "other.parquet"))
    with pytest.raises(ValueError, match="scores.jsonl holds scores of .* -> .*, got .*other.*; repeat those, or move"):
        Monitor((bank,), (other,), tmp_path, Accelerator(cpu=True), start=2, workers=0)
    queries = open_labelled([parquet])
    targets = embed_queries(teachers, queries, cpu, batch_size=24, workers=0)
    torch.testing.assert_close(targets[1][3], teachers[1](CentreView(48, "bicubic")(queries.read(3))[None])[0])
    centres = torch.stack([CentreView(32)(queries.read(i)) for i in range(24)])
    estimates = student.exported().teacher_embedding(centres).split([192, 192], dim=1)
    expected = agreement_scores(estimates, targets)
    assert {name: first[name] for name in expected} == pytest.approx(expected, rel=1e-3)


def test_queries_of_other_classes_than_the_bank_are_refused_before_training(tmp_path: Path):
    for kind in ("bank/cat", "bank/dog", "queries/cat"):
        (tmp_path / kind).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / kind / "0.png")
    with pytest.raises(ValueError, match=re.escape("queries: the bank has 2 classes, the queries have 1")):
        Monitor((str(tmp_path / "bank"),), (str(tmp_path / "queries"),), tmp_path, Accelerator(cpu=True), start=0)
