import json

import pytest
import torch
from accelerate import Accelerator

from distillation.training.health import Health


@pytest.fixture
def health(tmp_path):
    return Health(Accelerator(cpu=True), tmp_path)


@pytest.mark.parametrize("loss", [torch.nan, torch.inf])
def test_the_first_step_whose_loss_is_not_finite_is_named_with_its_images(health, tmp_path, loss):
    for step, value in enumerate([1.0, loss, 2.0, torch.nan], start=5):
        health.watch(step, torch.tensor(value))
    with pytest.raises(FloatingPointError, match=r"step 6: the loss is not finite; images 60, 61, .* \.\.\. \("):
        health.require(lambda step: list(range(10 * step, 10 * step + 9)))
    listed = json.loads((tmp_path / "not_finite_at_step_6.json").read_text())
    assert listed == {"step": 6, "images": list(range(60, 69))}


def test_finite_losses_pass(health):
    health.watch(1, torch.tensor(3e38))
    health.require(lambda step: [])
