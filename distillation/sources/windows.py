"""A reading order that keeps few shards alive."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

WINDOW_ROWS = 32_768


def windowed_order(shards: Sequence[int], seed: int, epoch: int, window: int = WINDOW_ROWS) -> np.ndarray:
    """Each row once: shards in random order, gathered to windows, rows shuffled inside a window.

    A pure function of its arguments, so a place in the order needs no other state than its number.

    Args:
        shards: rows of each shard; row numbers run through the shards one after the other.
        window: rows that a window holds at least (its last shard is whole; the last window may be shorter).

    Returns:
        (sum(shards),) int64, a permutation of the rows.
    """
    if window < 1:
        raise ValueError(f"window: expected 1 row or more, got {window}")
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch))))
    starts = list(accumulate(shards, initial=0))
    order, rows = [np.empty(0, np.int64)], []
    for shard in rng.permutation(len(shards)).tolist():
        rows.append(np.arange(starts[shard], starts[shard + 1], dtype=np.int64))
        if sum(map(len, rows)) >= window:
            order.append(rng.permutation(np.concatenate(rows)))
            rows = []
    if rows:
        order.append(rng.permutation(np.concatenate(rows)))
    return np.concatenate(order)
