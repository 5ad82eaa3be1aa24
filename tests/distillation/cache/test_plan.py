import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from distillation.cache.plan import TargetsPlan, delivery_rate, plan_targets
from distillation.cache.shards import PARAMETERS
from distillation.cache.store import TargetCache

PLAN = TargetsPlan(
    images=1_000_000,
    views=4,
    missing=3_600_000,
    row_bytes=2_000,
    decoding=300.0,
    teaching=600.0,
    shared_cores=False,
    free_bytes=20 * 10**9,
)


def test_parts_on_the_same_cores_add_their_times_while_others_overlap():
    assert PLAN.rate == 300
    assert replace(PLAN, shared_cores=True).rate == pytest.approx(200)  # 1 / 300 s + 1 / 600 s = 1 / 200 s


def test_a_description_states_rows_disk_rates_and_the_time_of_all_processes_together():
    told = PLAN.describe(1)
    assert "1,000,000 images x 4 views = 4,000,000, 3,600,000 of them missing" in told
    assert "8,000 MB of shards" in told  # 4e6 rows of 2000 bytes
    assert "20,000 MB are free" in told
    assert "300 img/s a process (bound by decoding)" in told
    assert told.endswith("3.3 hours on 1 process")  # 3.6e6 / 300 / 3600
    assert PLAN.describe(5).endswith("40.0 minutes on 5 processes")
    assert "(bound by the teacher)" in replace(PLAN, teaching=100.0).describe(1)


def test_a_disk_without_room_for_shards_and_map_is_told_as_too_small():
    assert "too small" not in replace(PLAN, free_bytes=16 * 10**9).describe(1)
    assert "the disk is too small: fewer --views-per-image" in replace(PLAN, free_bytes=16 * 10**9 - 1).describe(1)


def test_a_plan_counts_the_rows_that_are_missing_and_writes_nothing(tmp_path, unbuilt, photos, teacher, compute):
    planned = TargetCache.plan(tmp_path / "nowhere" / "yet", replace(unbuilt.facts, patch_grid=2))
    settings = {"batch_size": 4, "workers": 0}
    plan = plan_targets(planned, photos, [teacher], torch.device("cpu"), "no", 0.01, **settings)
    assert (plan.images, plan.views, plan.missing) == (24, 2, 48)
    assert plan.row_bytes == 2 * (192 + 192 * 2 * 2 + len(PARAMETERS))
    assert plan.shared_cores
    assert min(plan.decoding, plan.teaching, plan.free_bytes) > 0
    assert not (tmp_path / "nowhere").exists()
    compute(unbuilt, [(0, 0), (1, 2)])  # 10 and 4 rows
    assert plan_targets(unbuilt, photos, [teacher], torch.device("cpu"), "no", 0.01, **settings).missing == 34


def test_nothing_is_planned_of_a_whole_cache(whole, photos, teacher):
    with pytest.raises(ValueError, match="plan: the cache in .*targets is whole, nothing is left to compute"):
        plan_targets(whole, photos, [teacher], torch.device("cpu"), "no", 0.01, batch_size=4, workers=0)


def delivered(waits_s: list[float]) -> Iterator[int]:
    """Numbers of batches, each after a wait."""
    for number, wait_s in enumerate(waits_s):
        time.sleep(wait_s)
        yield number


def test_batches_that_lay_ready_with_the_first_are_not_part_of_the_rate():
    first, rate = delivery_rate(delivered([0.1] + [0.0] * 10 + [0.02] * 100), 5, seconds=0.1)
    assert first == 0
    assert 100 < rate <= 250  # 5 images in 0.02 s, or in more where the machine is busy


def test_where_few_batches_exist_all_of_them_make_the_rate():
    assert 100 < delivery_rate(delivered([0.02] + [0.0] * 3), 5, seconds=0.1)[1] <= 1000  # 20 images in 0.02 s
    assert 50 < delivery_rate(delivered([0.02]), 5, seconds=0.1)[1] <= 250
