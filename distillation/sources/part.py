"""Some of the images of a collection."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from distillation.sources.images import Images


class PartOfImages:
    """The images of a collection that have these numbers, in their order.

    Args:
        images: the whole collection.
        numbers: which of them.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, images: "Images", numbers: Sequence[int] | np.ndarray):
        self.images = images
        self.numbers = np.asarray(numbers, np.int64)

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the whole collection's with the numbers."""
        return hashlib.sha256(self.images.fingerprint.encode() + self.numbers.tobytes()).hexdigest()[:16]

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        return self.images.read(int(self.numbers[index]))

    def where(self, index: int) -> str:
        """The place of one image, for people."""
        return self.images.where(int(self.numbers[index]))
