"""What a teacher cache would take, before anything of it is computed."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from distillation.cache.shards import PARAMETERS
from distillation.cache.store import TargetCache
from distillation.cache.teacher_bank import TeacherBank
from distillation.cache.views import view_loader
from distillation.sources.images import Images
from distillation.teachers import Teacher

Batch = TypeVar("Batch")

PROBE_BATCH_ON_CPU = 16
"""There the rate hardly depends on the batch, and a large one would take minutes."""


@dataclass(frozen=True)
class TargetsPlan:
    """Size and rates of a build.

    Attributes:
        images, views: their product is the number of rows.
        missing: rows still to be computed.
        row_bytes: of the embeddings of a row, as float16.
        decoding: views per second that the workers of one process deliver.
        teaching: views per second that the teachers of one process embed.
        shared_cores: the workers take their time from the cores that also run the teachers.
        free_bytes: on the disk of the cache.
    """

    images: int
    views: int
    missing: int
    row_bytes: int
    decoding: float
    teaching: float
    shared_cores: bool
    free_bytes: int

    @property
    def rate(self) -> float:
        """Rows per second of one process: parts that share a device add their times, others overlap."""
        if self.shared_cores:
            return 1 / (1 / self.decoding + 1 / self.teaching)
        return min(self.decoding, self.teaching)

    def describe(self, processes: int) -> str:
        """For people; `processes` is how many share the work."""
        size = self.images * self.views * self.row_bytes
        hours = self.missing / self.rate / 3600
        binds = "" if self.shared_cores else f" (bound by {'decoding' if self.rate < self.teaching else 'the teacher'})"
        lines = [
            f"rows      {self.images:,} images x {self.views} views = {self.images * self.views:,}, "
            f"{self.missing:,} of them missing",
            f"disk      {size / 1e6:,.0f} MB of shards and as much for the memory map of the first training; "
            f"{self.free_bytes / 1e6:,.0f} MB are free",
            f"decoding  {self.decoding:,.0f} img/s a process",
            f"teacher   {self.teaching:,.0f} img/s a process",
            f"together  {self.rate:,.0f} img/s a process{binds}",
            f"time      {duration(hours / processes)} on {processes} process{'es' if processes > 1 else ''}",
        ]
        if 2 * size > self.free_bytes:
            lines.append("the disk is too small: fewer --views-per-image, or another --output")
        return "\n".join(lines)


def plan_targets(
    cache: TargetCache,
    images: Images,
    teachers: Sequence[Teacher],
    device: torch.device,
    precision: str,
    seconds: float,
    *,
    batch_size: int,
    workers: int,
) -> TargetsPlan:
    """Measure decoding and teachers for about `seconds` each; nothing is written.

    Args:
        cache: its facts; its folder need not exist.
        teachers: on `device`.

    Raises:
        ValueError: nothing is missing.
    """
    facts, missing = cache.facts, cache.missing()
    if not missing:
        raise ValueError(f"plan: the cache in {cache.folder} is whole, nothing is left to compute")
    on_gpu = device.type == "cuda"
    if not on_gpu:
        batch_size = min(batch_size, PROBE_BATCH_ON_CPU)
    bank = TeacherBank(teachers, device, precision, facts.patch_grid)
    loader = view_loader(cache, images, bank.sizes, missing, batch_size=batch_size, workers=workers, pin_memory=on_gpu)
    first, decoding = delivery_rate(iter(loader), batch_size, seconds)  # the workers go with the iterator

    def embed() -> bool:
        bank.embed(first["rendered"])[0].cpu()
        return True

    embed()  # compiles, allocates
    teaching = _rate(embed, batch_size, seconds)
    patch_numbers = (
        0 if facts.patch_shape is None else facts.patch_shape[0] * facts.patch_shape[1] * facts.patch_shape[2]
    )
    existing = next(folder for folder in (cache.folder, *cache.folder.absolute().parents) if folder.exists())
    return TargetsPlan(
        images=facts.images_count,
        views=cache.view_count,
        missing=sum(len(cache.rows(shard)) for _, shard in missing),
        row_bytes=2 * (facts.width + patch_numbers) + 2 * len(PARAMETERS),
        decoding=decoding,
        teaching=teaching,
        shared_cores=not on_gpu,
        free_bytes=shutil.disk_usage(existing).free,
    )


def delivery_rate(batches: Iterator[Batch], images: int, seconds: float) -> tuple[Batch, float]:
    """The first batch that workers deliver, and images per second of later ones, which are counted for about `seconds`.

    All workers begin at once, so when the first batch is there those of the others lie ready: for as long as the first
    one took, batches are taken without being counted. Where none is left after that, these make the rate.

    Args:
        batches: of `images` each.
    """
    began = time.perf_counter()
    first = next(batches)
    waited = time.perf_counter() - began
    ready, taken = time.perf_counter() + min(waited, seconds), 1
    while time.perf_counter() < ready and next(batches, None) is not None:
        taken += 1
    counting, counted = time.perf_counter(), 0
    while time.perf_counter() - counting < seconds and next(batches, None) is not None:
        counted += 1
    if counted == 0:
        return first, taken * images / (counting - began)
    return first, counted * images / (time.perf_counter() - counting)


def _rate(work: Callable[[], bool], images: int, seconds: float) -> float:
    """Images per second of calls on `images` of them, repeated for about `seconds` or until one returns False."""
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds and work():
        done += images
    return max(done, images) / (time.perf_counter() - began)


def duration(hours: float) -> str:
    """Hours, or where they are few, minutes."""
    return f"{hours:,.1f} hours" if hours >= 2 else f"{60 * hours:.1f} minutes"
