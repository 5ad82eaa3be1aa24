"""What every source of images is."""

from typing import Any, Protocol

from torch import Tensor


class Images(Protocol):
    """Map-style images that can be sent into the workers of a DataLoader."""

    @property
    def fingerprint(self) -> Any:  # a str; but type checkers take a cached_property of one for something else
        """Hash of the number of images with the bytes of some; the same wherever a collection of one kind lies."""
        ...

    @property
    def shards(self) -> tuple[int, ...] | None:
        """Images in each remote shard, where the order of reading matters; else None."""
        ...

    def __len__(self) -> int: ...

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        ...

    def where(self, index: int) -> str:
        """The place of one image, for people: "train-00000.parquet row 17"."""
        ...
