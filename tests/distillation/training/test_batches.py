from dataclasses import replace

import numpy as np
import pytest

from distillation.training import batches
from distillation.training.batches import Curriculum, MicroBatches


def curriculum(**changes) -> Curriculum:
    return replace(Curriculum(10, 4, epochs=3, max_steps=None, views_per_image=2, first_px=64, last_px=96), **changes)


def order(epoch: int) -> np.ndarray:
    return np.random.default_rng(epoch).permutation(10)


def flat(micro_batches) -> list:
    return [key for batch in micro_batches for key in batch]


def test_every_epoch_shows_whole_batches_of_its_own_order_view_and_size():
    keys = list(MicroBatches(curriculum(), order))
    assert len(keys) == len(MicroBatches(curriculum(), order)) == 6
    assert [key[0] for key in flat(keys[:2])] == order(0)[:8].tolist()
    assert [key[0] for key in flat(keys[2:4])] == order(1)[:8].tolist()
    assert [{key[1] for key in flat(keys[i : i + 2])} for i in (0, 2, 4)] == [{0}, {1}, {0}]
    assert [{key[2] for key in flat(keys[i : i + 2])} for i in (0, 2, 4)] == [{64}, {80}, {96}]


def test_without_a_number_of_views_every_epoch_has_its_own():
    assert [curriculum(views_per_image=None).view(epoch) for epoch in range(3)] == [0, 1, 2]


def test_a_run_that_resumes_shows_what_was_left():
    keys = list(MicroBatches(curriculum(), order))
    for start in range(7):
        assert list(MicroBatches(curriculum(), order, start)) == keys[start:]


@pytest.mark.parametrize(("processes", "accumulation"), [(1, 2), (2, 1), (2, 2), (4, 1)])
def test_however_a_batch_is_cut_a_step_sees_the_same_images(processes, accumulation):
    whole = list(MicroBatches(curriculum(), order))
    parts = [list(MicroBatches(curriculum(), order, 0, rank, processes, accumulation)) for rank in range(processes)]
    for step in range(6):
        shown = [key for part in parts for key in flat(part[step * accumulation :][:accumulation])]
        assert sorted(shown) == sorted(whole[step])
    assert MicroBatches(curriculum(), order).images(5).tolist() == [key[0] for key in whole[5]]


def test_what_comes_is_told_once_and_before_it_is_read(monkeypatch):
    monkeypatch.setattr(batches, "LOOK_AHEAD", 6)
    told: list[list[int]] = []
    keys = MicroBatches(curriculum(), order, prefetch=lambda images: told.append(images.tolist()))
    read = [sorted(key[0] for key in batch) for batch in keys]
    assert told[:2] == [order(0)[:6].tolist(), order(0)[6:10].tolist()]
    assert told[2] == order(1)[:6].tolist()
    assert all(
        set(read[step]) <= {image for some in told[step - step % 2 : step + 1] for image in some} for step in range(6)
    )


@pytest.mark.parametrize("length", [{"epochs": 1}, {"epochs": 2}, {"max_steps": 1}, {"max_steps": 3}])
def test_the_last_step_of_a_run_of_any_length_shows_the_last_size(length):
    last = list(MicroBatches(curriculum(**length), order))[-1]
    assert {key[2] for key in last} == {96}


def test_a_number_of_steps_ends_the_run_early():
    assert curriculum(max_steps=5).steps == 5
    assert curriculum(max_steps=100).steps == 6


def test_a_batch_that_cannot_be_cut_or_filled_is_refused():
    with pytest.raises(ValueError, match="batch_size: 4 cannot be cut evenly for 3 processes and 2 .*a multiple of 6"):
        MicroBatches(curriculum(), order, processes=3, accumulation=2)
    with pytest.raises(ValueError, match="batch_size: 11 is more than the 10 images"):
        curriculum(batch_size=11)
