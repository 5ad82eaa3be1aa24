import json
import re
from pathlib import Path

import pytest
from accelerate import Accelerator
from PIL import Image
from torch import nn

from distillation.training.monitor import Monitor, draw_curves


def write(path, rows) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_scores_beyond_the_step_of_a_resumed_run_are_dropped(tmp_path):
    write(tmp_path / "scores.jsonl", [{"step": 5, "knn10_percent": 50.0}, {"step": 10, "knn10_percent": 60.0}])
    Monitor((), (), tmp_path, Accelerator(cpu=True), start=7)
    assert [json.loads(line)["step"] for line in (tmp_path / "scores.jsonl").read_text().splitlines()] == [5]


def test_without_labelled_images_the_loss_alone_is_drawn(tmp_path):
    write(tmp_path / "log.jsonl", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])
    Monitor((), (), tmp_path, Accelerator(cpu=True), start=0).measure(2, nn.Identity(), 32)
    assert not (tmp_path / "scores.jsonl").exists()
    alone = (tmp_path / "curve.png").read_bytes()
    assert alone.startswith(b"\x89PNG")
    write(tmp_path / "scores.jsonl", [{"step": 2, "knn10_percent": 60.0}])
    draw_curves(tmp_path)
    assert (tmp_path / "curve.png").read_bytes() != alone


def test_queries_of_other_classes_than_the_bank_are_refused_before_training(tmp_path: Path):
    for kind in ("bank/cat", "bank/dog", "queries/cat"):
        (tmp_path / kind).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / kind / "0.png")
    with pytest.raises(ValueError, match=re.escape("queries: the bank has 2 classes, the queries have 1")):
        Monitor((str(tmp_path / "bank"),), (str(tmp_path / "queries"),), tmp_path, Accelerator(cpu=True), start=0)
