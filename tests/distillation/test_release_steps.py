import json
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from signal import SIGTERM

import pytest
import torch

from distillation.release_steps import Step, run
from xdistill_encoder import XDistillResNet18


def test_an_encoder_that_was_brought_from_another_machine_is_not_made_again(tmp_path, random_encoder):
    """Without its checkpoint.pt; with it the run sees by itself that it has ended."""
    start, of = tmp_path / "start", tmp_path / "run"
    random_encoder("batch").save_pretrained(start)
    begun = json.loads((start / "config.json").read_text())["weights_sha256"]
    step = Step("distill", ("--lr", "1"), of=of, start=start)
    assert not step.done()
    made = {"command": "xdistill distill --lr 1", "started_from": {"weights_sha256": begun}}
    random_encoder("group").save_pretrained(of / "encoder", provenance=made)
    assert step.done()
    assert not replace(step, arguments=("--lr", "2")).done()
    (of / "checkpoint.pt").touch()
    assert not step.done()
    (of / "checkpoint.pt").unlink()
    torch.manual_seed(7)
    XDistillResNet18("batch").save_pretrained(start)  # made again since
    assert not step.done()


def test_scores_of_other_weights_are_measured_again(tmp_path, encoder_run):
    scores = tmp_path / "scores.json"
    step = Step("scorecard", (), scores=scores, of=encoder_run)
    assert not step.done()
    weights = json.loads((encoder_run / "encoder" / "config.json").read_text())["weights_sha256"]
    scores.write_text(json.dumps({"weights_sha256": "0" * 64}))
    assert not step.done()
    asked = {"weights_sha256": weights, "command": "xdistill scorecard --bank a"}
    scores.write_text(json.dumps(asked))
    assert not replace(step, arguments=("--bank", "b")).done()
    assert replace(step, arguments=("--bank", "a")).done()
    scores.write_text(json.dumps({"weights_sha256": weights}))
    assert step.done()


@pytest.fixture
def encoder_run(tmp_path) -> Path:
    """A run's folder with an encoder in it."""
    XDistillResNet18(norm="batch").save_pretrained(tmp_path / "run" / "encoder")
    return tmp_path / "run"


def test_a_signal_reaches_the_running_command(tmp_path):
    ready = tmp_path / "ready"
    code = "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
    code += f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"

    def ask():
        while not ready.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), SIGTERM)

    thread = threading.Thread(target=ask)
    thread.start()
    assert run([sys.executable, "-c", code]) == 7
    thread.join()
