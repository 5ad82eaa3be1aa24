"""The views of a teacher cache, decoded and rendered for its teachers shard by shard."""

import os
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from distillation.cache.facts import Facts
from distillation.cache.shards import PARAMETERS
from distillation.cache.store import TargetCache
from distillation.interrupts import leave_signals_to_the_main_process
from distillation.sources.decoding import DamagedImage
from distillation.sources.images import Images
from distillation.views import Interpolation, random_view, render, to_row

Key = tuple[int, int]
"""(view, image)."""

RenderSize = tuple[int, Interpolation]
"""(side in px, interpolation)."""

Shard = tuple[int, int]
"""(view, number of the shard)."""


class CacheViews(Dataset):
    """The views of a cache as its teachers see them, with their parameters; a key is (view, image).

    A damaged image is not replaced, as it is in training: its item is zeros with `valid` False.

    Args:
        images: of which they are views.
        facts: of the cache.
        sizes: of each rendering.
    """

    def __init__(self, images: Images, facts: Facts, sizes: Sequence[RenderSize]):
        self.images = images
        self.seed = facts.seed
        self.augmentation = facts.augmentation
        self.sizes = tuple(sizes)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> dict:
        number, index = key
        try:
            image = self.images.read(index)
        except DamagedImage:
            parameters = torch.zeros(len(PARAMETERS), dtype=torch.float64)
            rendered = [torch.zeros(3, size_px, size_px, dtype=torch.uint8) for size_px, _ in self.sizes]
            return {"view": number, "index": index, "valid": False, "parameters": parameters, "rendered": rendered}
        view = random_view(self.seed, number, index, (image.shape[1], image.shape[2]), self.augmentation)
        parameters = torch.tensor(list(to_row(view).values()), dtype=torch.float64)
        rendered = [render(image, view, *size) for size in self.sizes]
        return {"view": number, "index": index, "valid": True, "parameters": parameters, "rendered": rendered}


class ShardBatches(Sampler[list[Key]]):
    """Batches of the rows of some shards, one shard after another; its last row fills up the last batch.

    A compiled teacher so never sees another batch size. What another process has written meanwhile is left out.

    Args:
        cache: whose shards.
        shards: (view, shard).
        batch_size: rows per batch.
    """

    def __init__(self, cache: TargetCache, shards: Sequence[tuple[int, int]], batch_size: int):
        self.cache = cache
        self.shards = shards
        self.batch_size = batch_size

    def __len__(self) -> int:
        return sum(-(-len(self.cache.rows(shard)) // self.batch_size) for _, shard in self.shards)

    def __iter__(self) -> Iterator[list[Key]]:
        for view, shard in self.shards:
            if self.cache.file(view, shard).exists():
                continue
            rows = self.cache.rows(shard)
            for first in range(0, len(rows), self.batch_size):
                taken = rows[first : first + self.batch_size]
                yield [(view, index) for index in taken] + [(view, taken[-1])] * (self.batch_size - len(taken))


def view_loader(
    cache: TargetCache,
    images: Images,
    sizes: Sequence[RenderSize],
    shards: Sequence[Shard],
    *,
    batch_size: int,
    workers: int,
    pin_memory: bool,
) -> DataLoader:
    """Batches of `CacheViews` for some shards, decoded and rendered by `workers` processes, at most one a core."""
    return DataLoader(
        CacheViews(images, cache.facts, sizes),
        batch_sampler=ShardBatches(cache, shards, batch_size),
        num_workers=min(workers, os.cpu_count() or 1),
        pin_memory=pin_memory,
        worker_init_fn=leave_signals_to_the_main_process,
    )
