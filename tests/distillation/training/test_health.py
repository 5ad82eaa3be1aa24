import json

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from distillation.training.health import Health


@pytest.fixture
def health(tmp_path):
    return Health(Accelerator(cpu=True), tmp_path, lambda step: list(range(10 * step, 10 * step + 9)))


@pytest.mark.parametrize("loss", [torch.nan, torch.inf])
def test_the_first_step_whose_loss_is_not_finite_is_named_with_its_images(health, tmp_path, loss):
    for step, value in enumerate([1.0, loss, 2.0, torch.nan], start=5):
        health.watch(step, torch.tensor(value))
    with pytest.raises(FloatingPointError, match=r"step 6: the loss is not finite; images 60, 61, .* \.\.\. \("):
        health.require()
    listed = json.loads((tmp_path / "not_finite_at_step_6.json").read_text())
    assert listed == {"step": 6, "images": list(range(60, 69))}


def test_weights_and_statistics_that_are_not_finite_are_named_with_a_followable_advice(health):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm2d(2))
    nn.init.constant_(model.get_parameter("0.weight"), 3e38)  # whose norm overflows
    health.require_weights(7, model)
    model.get_buffer("1.running_var")[1] = torch.nan
    with pytest.raises(FloatingPointError, match=r"step 7: 1 of 6 tensors .* 1.running_var, .* another --output"):
        health.require_weights(7, model)
    model.get_parameter("0.bias").data[0] = -torch.inf
    with pytest.raises(FloatingPointError, match=r"step 8: 2 of 6 tensors of weights are not finite, such as 0.bias"):
        health.require_weights(8, model)


def test_of_several_processes_the_first_to_fail_is_named(health, monkeypatch):
    """The others fail a step later, by its gradient."""
    monkeypatch.setattr(health.accelerator, "gather", lambda own: torch.tensor([6, 5, -1]))
    with pytest.raises(FloatingPointError, match="step 5: the loss is not finite; images 50, 51"):
        health.require()


def test_finite_losses_pass(health):
    health.watch(1, torch.tensor(3e38))
    health.require()
