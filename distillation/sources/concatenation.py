"""Several collections of images as one."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from distillation.sources.locating import locate
from distillation.sources.prefetching import Prefetching

if TYPE_CHECKING:
    from distillation.sources.images import Images


class ConcatenatedImages:
    """The images of all parts, one part after the other.

    Args:
        parts: one collection or more.
    """

    def __init__(self, parts: "Sequence[Images]"):
        self.parts = tuple(parts)
        self.ends = np.cumsum([len(part) for part in parts])
        remote = any(part.shards is not None for part in parts)
        self.shards = tuple(rows for part in parts for rows in part.shards or (len(part),)) if remote else None

    def __len__(self) -> int:
        return int(self.ends[-1])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the fingerprints of the parts."""
        return hashlib.sha256(" ".join(part.fingerprint for part in self.parts).encode()).hexdigest()[:16]

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        part, inside = locate(self.ends, index)
        return self.parts[part].read(inside)

    def where(self, index: int) -> str:
        """The place of one image, for people."""
        part, inside = locate(self.ends, index)
        return self.parts[part].where(inside)

    def prefetch(self, indices: np.ndarray) -> None:
        """Tell the remote parts which of their rows will be read soon; returns at once."""
        numbers = np.searchsorted(self.ends, indices, side="right")
        for number, part in enumerate(self.parts):
            inside = indices[numbers == number]
            if part.shards is not None and isinstance(part, Prefetching) and len(inside):
                part.prefetch(inside - int(self.ends[number]) + len(part))
