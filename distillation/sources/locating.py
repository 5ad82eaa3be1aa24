"""Which of several parts, one after the other, holds an item."""

import numpy as np


def locate(ends: np.ndarray, index: int) -> tuple[int, int]:
    """The number of the part that holds an item, and the item's place in that part.

    Args:
        ends: (P,) int, ascending: how many items the parts up to each one hold together.
        index: of the item among all.

    Raises:
        IndexError: there is no such item; an iteration over all of them ends by it.
    """
    if not 0 <= index < ends[-1]:
        raise IndexError(f"image {index} of {ends[-1]}")
    part = int(np.searchsorted(ends, index, side="right"))
    return part, index - (int(ends[part - 1]) if part else 0)
