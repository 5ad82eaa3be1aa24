import numpy as np
import pytest

from distillation.sources.locating import locate

ENDS = np.array([2, 2, 5])  # parts of two, no and three items


def test_every_item_lies_in_its_part_and_empty_parts_hold_none():
    assert [locate(ENDS, index) for index in range(5)] == [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_outside_of_all_parts_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"image {index} of 5"):
        locate(ENDS, index)
