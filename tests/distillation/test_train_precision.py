from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import pytest
import torch

from distillation.student_files import load_student
from distillation.train import Config, train
from tests.distillation.tiny_runs import command, losses, tiny_config, wait_for_steps, weights


@pytest.fixture
def config(tmp_path, parquet, teacher_spec):
    return tiny_config(tmp_path, parquet, teacher_spec)


def finish(config: Config) -> Path:
    """The run in a process of its own, since accelerate has one precision a process; its encoder's folder."""
    process = command(config)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return config.output / "encoder"


def test_a_run_in_bf16_learns_what_loads_in_float32(config):
    config = replace(config, epochs=8, mixed_precision="bf16")
    encoder = load_student(finish(config))
    assert encoder(torch.zeros(1, 3, 32, 32)).dtype == torch.float32
    assert encoder(torch.zeros(1, 3, 32, 32)).isfinite().all()
    curve = losses(config.output)
    assert len(curve) == 24
    assert sum(curve[-3:]) < 0.7 * sum(curve[:3])
    assert {value.dtype for value in weights(config.output).values()} == {torch.float32, torch.int64}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="gradients are scaled for fp16 on a CUDA device alone")
def test_a_run_in_fp16_that_was_stopped_ends_with_the_gradient_scale_of_an_undisturbed_one(config):
    config = replace(config, epochs=12, mixed_precision="fp16")
    process = command(config)
    wait_for_steps(config, process, 3)
    process.terminate()
    process.communicate(timeout=120)
    folder = finish(config)
    undisturbed = replace(config, output=config.output / "undisturbed")
    finish(undisturbed)
    ours, theirs = (torch.load(run.output / "checkpoint.pt", weights_only=True) for run in (config, undisturbed))
    assert ours["scaler"] == theirs["scaler"]  # it counts the steps since the last overflow
    assert ours["scaler"]["_growth_tracker"] > 0
    curve = losses(config.output)
    assert len(curve) == 36
    assert sum(curve[-3:]) < 0.7 * sum(curve[:3])
    assert load_student(folder)(torch.zeros(1, 3, 32, 32)).isfinite().all()


def test_a_compiled_run_has_the_losses_of_a_plain_one(config, monkeypatch):
    """The graphs are captured and run as they are: generating code for them takes minutes on two cores."""
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="eager"))
    config = replace(config, epochs=1, lr=1e-5)
    train(replace(config, compile=True))
    train(replace(config, output=config.output / "plain"))
    assert losses(config.output) == pytest.approx(losses(config.output / "plain"), rel=1e-4)
