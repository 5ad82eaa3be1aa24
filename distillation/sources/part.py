"""Some of the images of a collection."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from distillation.sources.prefetching import Prefetching

if TYPE_CHECKING:
    from distillation.sources.images import Images


class PartOfImages:
    """The images of a collection that have these numbers, in their order.

    Args:
        images: the whole collection.
        numbers: which of them.

    Attributes:
        shards: images of the part in each remote shard; None where the collection has none, or the numbers do not rise.
    """

    def __init__(self, images: "Images", numbers: Sequence[int] | np.ndarray):
        self.images = images
        self.numbers = np.asarray(numbers, np.int64)
        self.shards: tuple[int, ...] | None = None
        if images.shards is not None and (np.diff(self.numbers) > 0).all():
            ends = np.searchsorted(self.numbers, np.cumsum(images.shards))
            self.shards = tuple(np.diff(ends, prepend=0).tolist())

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the whole collection's with the numbers."""
        return hashlib.sha256(self.images.fingerprint.encode() + self.numbers.tobytes()).hexdigest()[:16]

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        return self.images.read(int(self.numbers[index]))

    def prefetch(self, indices: np.ndarray) -> None:
        """Tell the collection which of its remote rows will be read soon; returns at once."""
        if isinstance(self.images, Prefetching):
            self.images.prefetch(self.numbers[indices])

    def where(self, index: int) -> str:
        """The place of one image, for people."""
        return self.images.where(int(self.numbers[index]))
