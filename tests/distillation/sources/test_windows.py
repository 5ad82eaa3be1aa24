import numpy as np
import pytest

from distillation.sources.windows import windowed_order

SHARDS = (7, 1, 12, 5, 0, 9, 3, 8)
STARTS = np.cumsum([0, *SHARDS])


@pytest.mark.parametrize("window", [1, 10, 1000])
def test_each_row_comes_once(window):
    order = windowed_order(SHARDS, 0, 0, window)
    assert np.array_equal(np.sort(order), np.arange(45))
    assert order.dtype == np.int64


def test_the_order_is_a_function_of_seed_and_epoch():
    first = windowed_order(SHARDS, 3, 5, 10)
    assert np.array_equal(first, windowed_order(list(SHARDS), 3, 5, 10))
    assert not np.array_equal(first, windowed_order(SHARDS, 3, 6, 10))
    assert not np.array_equal(first, windowed_order(SHARDS, 4, 5, 10))
    assert not np.array_equal(windowed_order(SHARDS, 0, 1, 10), windowed_order(SHARDS, 1, 0, 10))


def test_a_shard_lives_in_one_window_of_as_few_shards_as_hold_the_rows():
    shards, window = (10,) * 20, 35
    order = windowed_order(shards, 0, 0, window)
    windows = [set(order[first : first + 40] // 10) for first in range(0, 200, 40)]  # 4 shards of 10 rows reach 35
    assert [len(shards_in_it) for shards_in_it in windows] == [4] * 5
    assert len(set.union(*windows)) == 20


def test_rows_of_a_window_are_mixed():
    order = windowed_order((1000,) * 4, 0, 0, 2000)
    first, second = order[:2000] // 1000, order[2000:] // 1000
    for shards in (first, second):
        assert 0.4 < (shards[:500] == shards[0]).mean() < 0.6
    assert set(first).isdisjoint(second)


def test_no_shard_gives_no_row_and_no_window_is_refused():
    assert windowed_order((), 0, 0).shape == (0,)
    with pytest.raises(ValueError, match="window: expected 1 row or more, got 0"):
        windowed_order(SHARDS, 0, 0, 0)
