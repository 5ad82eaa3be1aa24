"""Background threads that fetch shards before they are read."""

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Prefetching(Protocol):
    """Images of which some may lie in remote shards."""

    def prefetch(self, indices: np.ndarray) -> None:
        """Start to fetch what these rows need; returns at once."""
        ...


class Prefetcher:
    """Calls a function for shards in the order of the requests, a few at a time; ends with the process.

    Args:
        fetch: shard number -> fetched, if it is not here yet.
        threads: that fetch at the same time.
    """

    def __init__(self, fetch: Callable[[int], object], threads: int = 4):
        self.fetch = fetch
        self.wanted: queue.Queue[int] = queue.Queue()
        self.waiting: set[int] = set()
        for _ in range(threads):
            threading.Thread(target=self._work, daemon=True, name="shard prefetch").start()

    def request(self, shards: Iterable[int]) -> None:
        """Fetch these shards as soon as possible; returns at once. Those that are waited for already are left out."""
        for shard in shards:
            if shard not in self.waiting:
                self.waiting.add(shard)
                self.wanted.put(shard)

    def _work(self) -> None:
        while True:
            shard = self.wanted.get()
            try:
                self.fetch(shard)
            except Exception:  # whoever reads the shard fetches it again, meets the error and raises it
                pass
            finally:
                self.waiting.discard(shard)
