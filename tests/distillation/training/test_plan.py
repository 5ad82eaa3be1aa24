import time

import pytest
import torch

from distillation.training.plan import Plan, measure_rate

PLAN = Plan(100.0, 60.0, {64: 300.0, 96: 120.0}, {64: 36_000, 96: 72_000}, shared_cores=True, disk_bytes=2 * 10**9)


def test_parts_on_the_same_cores_add_their_times():
    assert 1 / PLAN.rate(96) == pytest.approx(1 / 100 + 1 / 60 + 1 / 120)
    assert PLAN.hours == pytest.approx(36_000 / PLAN.rate(64) / 3600 + 72_000 / PLAN.rate(96) / 3600)


def test_on_a_gpu_decoding_goes_on_beside_and_binds_where_it_is_slower():
    beside = Plan(30.0, 60.0, {96: 120.0}, {96: 1000}, shared_cores=False, disk_bytes=1)
    assert beside.rate(96) == 30
    assert "bound by decoding" in beside.describe()
    faster = Plan(1000.0, 60.0, {96: 120.0}, {96: 1000}, shared_cores=False, disk_bytes=1)
    assert faster.rate(96) == pytest.approx(40)  # 1 / (1/60 + 1/120)
    assert "bound by" not in faster.describe()


def test_a_plan_tells_each_size_the_disk_and_the_hours():
    told = PLAN.describe()
    assert "300 img/s at 64 px, 36,000 images" in told
    assert "2,000 MB" in told
    assert f"{60 * PLAN.hours:.1f} minutes" in told
    long = Plan(100.0, 60.0, {96: 120.0}, {96: 10**8}, shared_cores=True, disk_bytes=1)
    assert f"{long.hours:.1f} hours" in long.describe()


def test_a_rate_is_images_over_time():
    rate = measure_rate(lambda: time.sleep(0.01), 5, seconds=0.1, device=torch.device("cpu"))
    assert 250 < rate <= 500  # a sleep takes at least its time
