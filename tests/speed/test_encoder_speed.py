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
    return XDistillResNet18().eval()


@torch.inference_mode()
def test_a_forward_pass_costs_at_most_5_percent_more_than_the_bare_trunk(encoder):
    images = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX)
    normalised = encoder.normalizer(images)
    ours, bare = paired_medians_s(lambda: encoder(images), lambda: encoder.trunk(normalised), rounds=11)
    print(
        f"\nforward, batch {BATCH}, {SIZE_PX} px: {1e3 * ours:.0f} ms, trunk {1e3 * bare:.0f} ms: {ours / bare:.3f} x"
    )
    assert ours / bare <= 1.05


@torch.inference_mode()
def test_the_range_check_costs_at_most_2_percent_of_a_forward_pass(encoder):
    images = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX)
    check, forward = paired_medians_s(
        lambda: check_range(images, inputs_normalized=False), lambda: encoder(images), rounds=11
    )
    print(f"\nrange check: {1e3 * check:.2f} ms, {100 * check / forward:.2f} % of a forward pass")
    assert check / forward <= 0.02


def seconds_in_new_process(program: str) -> float:
    """What a program that prints seconds prints; the median of five processes."""
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    return statistics.median(float(run.stdout.splitlines()[-1]) for run in runs)


def test_importing_the_package_adds_at_most_0_3_s_to_torch_and_torchvision():
    added_s = seconds_in_new_process(
        "import time, torch, torchvision; t = time.time(); import xdistill_encoder; print(time.time() - t)"
    )
    print(f"\nimport xdistill_encoder adds {added_s:.3f} s")
    assert added_s <= 0.3


def test_from_pretrained_takes_at_most_1_s():
    load_s = seconds_in_new_process(
        "import time, xdistill_encoder as x; t = time.perf_counter(); x.XDistillResNet18.from_pretrained();"
        "print(time.perf_counter() - t)"
    )
    print(f"\nfrom_pretrained() takes {load_s:.3f} s")
    assert load_s <= 1
