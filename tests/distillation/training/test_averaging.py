import math

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim.swa_utils import AveragedModel

from distillation.training.averaging import moving_average


@pytest.mark.parametrize(("updates", "weight"), [(0, 0.1), (8, 0.5), (80, 0.9), (800, 0.9)])
def test_the_weight_of_the_average_rises_from_a_tenth_to_the_decay(updates, weight):
    """(1 + 8) / (10 + 8) = 0.5; (1 + 80) / (10 + 80) = 0.9."""
    for count in (updates, torch.tensor(updates)):
        torch.testing.assert_close(moving_average(0.9, torch.ones(3), torch.zeros(3), count), torch.full((3,), weight))


def test_an_average_forgets_where_it_started():
    """What 20 updates leave of it is the product of (1 + n) / (10 + n), one by binomial(29, 9)."""
    average = torch.ones((), dtype=torch.float64)
    for update in range(20):
        average = moving_average(0.9999, average, torch.zeros((), dtype=torch.float64), update)
    torch.testing.assert_close(average, torch.tensor(1 / math.comb(29, 9), dtype=torch.float64), rtol=1e-5, atol=0)


def test_counters_are_those_of_the_student():
    current = torch.tensor(7)
    assert moving_average(0.9, torch.tensor(3), current, 5) is current


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_an_average_of_one_value_is_that_value_in_its_own_type(dtype):
    value = torch.linspace(-2, 2, 5, dtype=dtype)
    average = moving_average(0.9, value, value, torch.tensor(3))
    assert average.dtype == dtype
    assert torch.equal(average, value)


@pytest.mark.parametrize("decay", [0.9999, 0.3])
def test_the_average_of_a_network_is_that_of_diffusers(decay):
    network = nn.Linear(3, 2)
    ours = AveragedModel(network, avg_fn=lambda *arguments: moving_average(decay, *arguments))
    ours.update_parameters(network)  # the first takes the weights
    theirs = EMAModel(network.parameters(), decay=decay)
    theirs.step(network.parameters())
    for _ in range(5):
        nn.init.normal_(network.weight)
        ours.update_parameters(network)
        theirs.step(network.parameters())
    torch.testing.assert_close(ours.module.weight, theirs.shadow_params[0])
