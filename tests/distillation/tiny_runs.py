"""Runs of seconds: their settings, their command line, what they leave."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from distillation.train import Config

ROOT = Path(__file__).parents[2]


SMALL = "timm/test_resnet"
"""A backbone that takes a tenth of a ResNet-18's time: for what is not about the student."""


def tiny_config(folder: Path, parquet: str, teacher_spec: str, backbone: str = SMALL) -> Config:
    """Twelve steps of 8 images of 32 px."""
    return Config(
        teacher=(teacher_spec,),
        teacher_image_size=None,
        images=(parquet,),
        output=folder / "run",
        image_size=32,
        epochs=4,
        batch_size=8,
        workers=0,
        log_every=1,
        mixed_precision="no",
        backbone=backbone,
    )


def command(config: Config, *program: str) -> subprocess.Popen:
    """Start the command of a run by a program, this Python where none is given, with one worker."""
    arguments = ["--teacher", *config.teacher, "--images", *config.images, "--output", str(config.output)]
    arguments += ["--image-size", "32", "--batch-size", "8", "--epochs", str(config.epochs), "--norm", config.norm]
    arguments += ["--workers", "1", "--log-every", "1", "--save-every", str(config.save_every)]
    arguments += ["--loss", *config.loss, "--queue-size", str(config.queue_size), "--ema", str(config.ema)]
    arguments += ["--standardize"] if config.standardize else []
    arguments += ["--mixed-precision", config.mixed_precision, "--teacher-image-size", "None", "--lr", str(config.lr)]
    arguments += ["--backbone", config.backbone]
    program = program or (sys.executable, "-m", "distillation.train")
    return subprocess.Popen(
        [*program, *arguments],
        cwd=config.output.parent,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_steps(config: Config, process: subprocess.Popen, steps: int) -> None:
    """Until the log of a run has so many rows."""
    log, deadline = config.output / "log.jsonl", time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= steps):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def losses(folder: Path) -> list[float]:
    """Of each row of the log."""
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Of the student in the checkpoint."""
    return torch.load(folder / "checkpoint.pt", weights_only=True)["model"]
