import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from distillation import publish, scorecard, targets, train
from distillation.release import Config, main, release, steps
from distillation.release_steps import Step
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path) -> Config:
    terms = tmp_path / "terms.md"
    terms.write_text("These are the terms.\n")
    scored = (("a/bank.parquet", "a/val.parquet"), ("org/bank", "org/queries"))
    return Config(("a-teacher",), ("photos",), "tea-24", scored, terms, output=tmp_path / "release")


def options(step: Step) -> dict[str, list[str]]:
    """What a step's command line says, by option."""
    found: dict[str, list[str]] = {}
    for part in step.arguments:
        if part.startswith("--"):
            found[part] = []
        else:
            found[list(found)[-1]].append(part)
    return found


def test_both_norms_are_made_from_one_cache_the_second_from_the_weights_of_the_first(config):
    made = list(steps(config))
    each = ["scorecard", "scorecard", "publish"]
    assert [step.command for step in made] == ["targets", "distill", "distill", *each, *each]
    batch, group = (options(step) for step in made if step.command == "distill")
    assert batch["--targets"] == group["--targets"] == options(made[0])["--output"]
    assert (batch["--name"], group["--name"]) == (["resnet18-bn-tea-24"], ["resnet18-gn-tea-24"])
    assert "--warm-start" not in batch
    assert group["--warm-start"] == [f"{batch['--output'][0]}/encoder"]


def test_images_without_a_bank_are_compared_with_the_teacher_and_not_drawn(config):
    made = list(steps(Config(**vars(config) | {"compared": ("held-out.parquet",), "norms": ("group",)})))
    *_, compared = (options(step) for step in made if step.command == "scorecard")
    assert compared["--queries"] == ["held-out.parquet"]
    assert "--bank" not in compared
    assert "--plot" not in compared
    published = options(made[-1])
    assert [Path(file).name for file in published["--scores"]] == ["val.json", "queries.json", "held-out.json"]
    assert "held-out.png" not in [Path(file).name for file in published["--plots"]]


def test_a_patch_loss_on_embeddings_without_patches_is_refused_before_they_are_computed(config):
    asked = replace(config, student=("--loss", "mse", "patch:0.5"), dry_run=True)
    with pytest.raises(ValueError, match="patch_grid: expected a number, such as 7, for a loss with patch"):
        release(asked)
    assert "--patch-grid" in options(next(steps(replace(asked, patch_grid=7))))
    release(replace(asked, patch_grid=7))
    release(replace(asked, views_per_image=None))


def test_without_cached_views_the_teacher_runs_along(config):
    made = list(steps(Config(**vars(config) | {"views_per_image": None})))
    assert [step.command for step in made[:3]] == ["distill", "distill", "scorecard"]
    assert "--targets" not in options(made[0])


def test_the_commands_that_are_printed_are_understood_by_their_parsers(config):
    """Own settings and some of a student's, each at a value that no default has."""
    own: dict[str, Any] = {"epochs": (7, 3), "lr": (3e-4, 1e-4), "warm_start": "a-checkpoint", "score_image_size": 96}
    own |= {"compared": ("held-out.parquet",), "score_every": 3, "embedding": "avg", "datasets": ("a/b", "c/d")}
    own |= {"patch_grid": 7, "csv": Path("scores.csv"), "workers": 3, "views_per_image": 6}
    both = {"augmentation": "strong", "min_scale": 0.2, "seed": 5, "mixed_precision": "no", "split": "other"}
    both |= {"shard_cache": Path("/fast"), "shard_cache_gb": 300.0, "decoded": Path("/pixels"), "max_damaged": 0.02}
    both |= {"teacher_image_size": 192}
    alone = {"image_size": 112, "first_image_size": 64, "batch_size": 24, "accumulation": 2, "ema": 0.9, "clip": 2.0}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in (both | alone).items()]
    words += ["--compile", "--no-standardize", "--head-norm", "--loss", "cosine", "relational:0.5"]
    parsed = [step.parse() for step in steps(replace(config, **own, student=tuple(words)))]
    batch, group = (each for each in parsed if isinstance(each, train.Config))
    for name, value in (both | alone | {"loss": ("cosine", "relational:0.5"), "embedding": "avg"}).items():
        assert getattr(batch, name) == getattr(group, name) == value, name
    assert (batch.compile, batch.standardize, batch.head_norm) == (True, False, True)
    assert (batch.epochs, group.epochs) == (7, 3)
    assert (batch.lr, group.lr) == (3e-4, 1e-4)
    assert batch.warm_start == "a-checkpoint"
    assert (batch.score_bank, batch.score_queries, batch.score_every) == (("a/bank.parquet",), ("a/val.parquet",), 3)
    cache = parsed[0]
    for name, value in (both | {"compile": True, "patch_grid": 7, "embedding": "avg", "views_per_image": 6}).items():
        assert getattr(cache, name) == value, name
    assert cache.batch_size == targets.Config.batch_size
    scored = [each for each in parsed if isinstance(each, scorecard.Config)]
    assert {(each.csv, each.embedding, each.image_size) for each in scored} == {(Path("scores.csv"), "avg", 96)}
    assert len(scored) == 6
    published = [each for each in parsed if isinstance(each, publish.Config)]
    assert all(each.dry_run and each.datasets == ("a/b", "c/d") for each in published)


def test_options_of_a_student_may_stand_anywhere_on_the_command_line(config, monkeypatch, capsys):
    words = (
        "--ema 0.9 --teacher a b --loss mse cosine --images photos --compile --stem tea --scored x/bank x/val --clip 2"
    )
    arguments = [*words.split(), "--license-terms", str(config.license_terms), "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["xdistill release", *arguments])
    main()
    made = capsys.readouterr().out.splitlines()[1]
    for said in ("--teacher a b ", "--images photos ", "--ema 0.9 ", "--loss mse cosine ", "--compile ", "--clip 2 "):
        assert said in made


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--norm", "group"), "norm: a release decides this itself"),
        (("--output", "elsewhere"), "output: a release decides this itself"),
        (("photos",), "expected an option of xdistill distill, got 'photos'"),
    ],
)
def test_what_a_release_decides_is_not_a_students_to_say(config, words, message):
    with pytest.raises(ValueError, match=message):
        replace(config, student=words)


def test_a_release_of_both_norms_ends_in_two_folders_that_load(config, tmp_path, parquet, bank, teacher_spec):
    command = [sys.executable, "-m", "xdistill_encoder", "release", "--teacher", teacher_spec, "--images", parquet]
    command += ["--teacher-image-size", "None", "--stem", "tea-24", "--scored", bank, parquet, "--workers", "0"]
    limits = tmp_path / "limits.md"
    limits.write_text("These are the limits.\n")
    command += ["--license-terms", str(config.license_terms), "--limits", str(limits)]
    command += ["--views-per-image", "2", "--image-size", "32"]
    command += ["--batch-size", "8", "--epochs", "2", "1", "--output", str(config.output), "--allow-dirty"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    for norm, name in {"batch": "resnet18-bn-tea-24", "group": "resnet18-gn-tea-24"}.items():
        encoder = XDistillResNet18.from_pretrained(config.output / name / "hub", norm=norm)  # type: ignore
        assert encoder(torch.zeros(1, 3, 32, 32)).isfinite().all()
        assert encoder.checkpoint
        (scores,) = encoder.checkpoint.provenance["scores"]
        assert scores == json.loads((config.output / name / "train.json").read_text()) | scores
        card = (config.output / name / "hub" / "README.md").read_text()
        for words in (f'from_pretrained("{name}"', "These are the terms.", "These are the limits."):
            assert words in card
        hub = {path.name for path in (config.output / name / "hub").rglob("*") if path.is_file()}
        assert hub == {"README.md", "config.json", "model.safetensors", "curve.png", "train.png"}
        assert encoder.checkpoint.provenance["targets"].startswith("cached")
        assert scores["teacher"] == "vit_random"
    assert encoder.checkpoint
    assert encoder.checkpoint.provenance["command"].startswith("xdistill distill --preset best")
    again = replace(config, teacher=(teacher_spec,), scored=((bank, parquet),), workers=0)
    assert [step.done() for step in steps(again)] == [
        *(False, False, False),  # targets, distill, distill
        *(True, False, True, False),  # scorecard, publish, scorecard, publish
    ]

    for name in ("resnet18-bn-tea-24", "resnet18-gn-tea-24"):  # as they are brought from a machine that is given back
        (config.output / name / "checkpoint.pt").unlink()
    shutil.rmtree(config.output / "targets")
    at_home = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)
    assert at_home.returncode == 0, at_home.stdout + at_home.stderr
    made = [line.split()[:4] for line in at_home.stdout.splitlines() if line.startswith(("done before", "$ "))]
    assert [words[3] for words in made if words[0] == "done"] == [
        *("targets", "distill", "distill"),
        *["scorecard"] * 2,
    ]
    assert not (config.output / "targets").exists()


def test_a_step_that_fails_stops_the_release_and_is_named(config, bank, parquet, capfd):
    scored = ((bank, parquet),)
    with pytest.raises(SystemExit, match="targets ended with status 1; the same command goes on"):
        release(replace(config, scored=scored, allow_dirty=True))  # a checkout that somebody works on
    printed = capfd.readouterr()
    assert "xdistill targets: images: nothing at photos" in printed.err
    assert printed.out.startswith("$ xdistill targets --teacher a-teacher")
    assert not config.output.exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"student": ("--loss", "mze")}, "loss: expected names among mse, .* got 'mze'"),
        ({"student": ("--ema", "2")}, r"ema: expected a decay in \(0, 1\)"),
        (
            {"student": ("--batch-size", "100", "--accumulation", "3")},
            "batch_size: 100 cannot be cut into 3 equal parts",
        ),
        ({"student": ("--lisense-terms", "t.md")}, "--lisense-terms"),
        ({"scored": (("nowhere/bank.parquet", "nowhere/val.parquet"),)}, "images: nothing at nowhere/bank.parquet"),
        ({"processes": 3}, "batch_size: 512 cannot be cut evenly for 3 processes and 1 micro-batches each"),
        ({"datasets": ("imagenet",)}, "datasets: expected 'org/name' of each, got 'imagenet'"),
    ],
)
def test_what_a_later_step_would_refuse_is_refused_before_the_first(config, capfd, setting, message):
    with pytest.raises((ValueError, SystemExit)) as caught:
        release(replace(config, allow_dirty=True, **setting))
    printed = capfd.readouterr()
    assert re.search(message, f"{caught.value} {' '.join(printed.err.replace('│', ' ').split())}")
    assert "$ xdistill" not in printed.out


def test_what_a_scorecard_would_refuse_is_refused_before_the_first_step(config, bank, parquet, tmp_path, capfd):
    asked = replace(config, allow_dirty=True, scored=((bank, parquet),))
    foreign = tmp_path / "rows.csv"
    foreign.write_text("task,success\n")
    with pytest.raises(ValueError, match="rows.csv"):
        release(replace(asked, csv=foreign))
    with pytest.raises(ValueError, match="queries: .* is in the bank too, in which each query finds itself"):
        release(replace(asked, scored=((parquet, parquet),)))
    config.license_terms.write_text(" \n")
    with pytest.raises(ValueError, match="license_terms: expected words, got an empty text"):
        release(asked)
    assert "$ xdistill" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"norms": ("group", "batch")}, "norms: expected batch before group"),
        ({"norms": ("batch", "batch")}, "norms: expected batch, group or both, each once, got batch batch"),
        ({"epochs": (1, 2, 3)}, "epochs: expected one number, or one for each of 2 norms"),
        ({"scored": ()}, "scored: expected a bank and queries, got none"),
        ({"scored": (("a", "x/val"), ("b", "y/val"))}, "scored: expected queries of different names"),
        ({"compared": ("b/val.parquet",)}, r"different names, .* \['val', 'queries', 'val'\]"),
        ({"stem": "org/name"}, "stem: expected part of a name"),
        ({"processes": 0}, "processes: expected 1 or more, got 0"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(setting, message, config):
    with pytest.raises(ValueError, match=message):
        Config(**vars(config) | setting)


def test_batch_norm_cannot_start_from_group_norms_weights(config):
    with pytest.raises(
        ValueError, match="warm_start: resnet18-gn-.* has group norm, from which batch norm cannot start"
    ):
        release(replace(config, warm_start=DEFAULT_CHECKPOINTS["group"]))


def test_weights_of_code_that_no_commit_holds_are_not_begun(config, monkeypatch):
    monkeypatch.setattr("distillation.release.commit", lambda file: "0123456789ab-dirty")
    with pytest.raises(ValueError, match="this code has changes that no commit holds"):
        release(config)


def test_terms_that_the_card_would_quote_must_be_there_before_anything_runs(config):
    with pytest.raises(ValueError, match=r"expected a text file, .md or .txt, at .*terms, which"):
        release(replace(config, license_terms=config.license_terms.rename(config.license_terms.with_suffix(""))))
    with pytest.raises(ValueError, match=r"expected a text file, .md or .txt, at .*terms.md"):
        release(config)
