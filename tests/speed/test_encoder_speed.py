"""Ratios of running times of the encoder; absolute times differ from machine to machine."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.images import check_range

pytestmark = pytest.mark.speed
BATCH, SIZE_PX = 32, 224


def paired_medians_s(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of two calls that take turns, after one round that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for call, log in zip((first, second), times, strict=True):
            start = time.perf_counter()
            call()
            log.append(time.perf_counter() - start)
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


@pytest.fixture(scope="module")
def encoder():
    return XDistillResNet18("batch").eval()


@torch.inference_mode()
def test_a_forward_pass_costs_at_most_5_percent_more_than_the_bare_trunk(encoder, record):
    images = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX)
    normalised = encoder.normalizer(images)
    ours, bare = paired_medians_s(lambda: encoder(images), lambda: encoder.trunk(normalised), rounds=21)
    record("forward pass / bare trunk's", ours / bare, "x", 1.05)
    assert ours / bare <= 1.05


@torch.inference_mode()
def test_the_range_check_costs_at_most_2_percent_of_a_forward_pass(encoder, record):
    images = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX)
    check, forward = paired_medians_s(
        lambda: check_range(images, inputs_normalized=False), lambda: encoder(images), rounds=21
    )
    record("range check / forward pass", 100 * check / forward, "%", 2)
    assert check / forward <= 0.02


def seconds_in_new_process(program: str) -> list[float]:
    """The seconds that a program prints on its last line, each the median of five processes."""
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    printed = [[float(word) for word in run.stdout.splitlines()[-1].split()] for run in runs]
    return [statistics.median(times) for times in zip(*printed, strict=True)]


def test_importing_the_package_adds_at_most_0_3_s_to_torch_and_torchvision(record):
    added, alone = seconds_in_new_process(
        "import time; t = time.time(); import torch, torchvision; u = time.time(); import xdistill_encoder;"
        "print(time.time() - u, u - t)"
    )
    record("import / torch and torchvision alone", (added + alone) / alone, "x", round((alone + 0.3) / alone, 2))
    record("import, beyond torch and torchvision", added, "s", 0.3)
    assert added <= 0.3


def test_from_pretrained_takes_at_most_1_s(record):
    load, bare = seconds_in_new_process(
        "import time, torchvision, xdistill_encoder as x; t = time.time(); x.XDistillResNet18.from_pretrained();"
        "u = time.time(); torchvision.models.resnet18(weights=None); print(u - t, time.time() - u)"
    )
    record("from_pretrained() / torchvision's resnet18()", load / bare, "x", round(1 / bare, 1))
    record("from_pretrained()", load, "s", 1)
    assert load <= 1
