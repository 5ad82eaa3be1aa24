"""Computes the missing shards of a teacher cache."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from distillation.cache.shards import shard_table, write_shard
from distillation.cache.store import TargetCache
from distillation.cache.teacher_bank import TeacherBank
from distillation.cache.views import Shard, view_loader
from distillation.interrupts import StopRequest
from distillation.sources.damage import DamageLog
from distillation.sources.images import Images
from distillation.teachers import Teacher


def build_cache(
    cache: TargetCache,
    images: Images,
    teachers: Sequence[Teacher],
    shards: Sequence[Shard],
    device: torch.device,
    precision: str,
    *,
    batch_size: int,
    workers: int,
    stop: StopRequest,
    damage: DamageLog,
) -> bool:
    """Compute those of some shards that are missing; False where it was asked to stop before.

    Nothing waits for the device but the thread that writes a shard while the next one is computed.

    Args:
        teachers: on `device`, compiled or not, in the order of the facts.
        shards: of the cache, this process' share.
        precision: of the forward pass: "bf16", "fp16" or "no".
        stop: asked after each batch; the shard that is not whole then is lost.
        damage: told of damaged images.

    Raises:
        ValueError: an embedding lies outside the range of float16; too many images are damaged.
        OSError: a shard cannot be written.
    """
    missing = [shard for shard in shards if not cache.file(*shard).exists()]
    bank = TeacherBank(teachers, device, precision, cache.facts.patch_grid)
    on_gpu = device.type == "cuda"
    loader = view_loader(cache, images, bank.sizes, missing, batch_size=batch_size, workers=workers, pin_memory=on_gpu)
    total = sum(len(cache.rows(shard)) for _, shard in missing)
    chunks: list[_Chunk] = []
    writing: Future | None = None
    with ThreadPoolExecutor(1) as writer, tqdm(total=total, unit="img", unit_scale=True, desc="teacher") as bar:
        for batch in loader:
            view, shard = int(batch["view"][0]), int(batch["index"][0]) // cache.shard_rows
            lacking = len(cache.rows(shard)) - sum(map(len, chunks))
            chunks.append(_Chunk(batch, *bank.embed(batch["rendered"]), kept=min(batch_size, lacking)))
            damage.record(batch["index"], torch.where(batch["valid"], batch["index"], batch["index"] + 1))
            bar.update(len(chunks[-1]))
            if len(chunks[-1]) == lacking:
                if writing is not None:
                    writing.result()  # one shard is written while one is computed
                writing, chunks = writer.submit(_write, cache, images, view, shard, chunks), []
            if stop.requested:
                break
        if writing is not None:
            writing.result()
    return all(cache.file(*shard).exists() for shard in shards)


class _Chunk:
    """The first rows of a batch with their embeddings, still on the device."""

    def __init__(self, batch: dict, embeddings: Tensor, patches: Tensor | None, kept: int):
        # Copies: what a worker sent lies in shared memory, whose file stays open for as long as anything refers to it.
        copies = [batch[key][:kept].clone() for key in ("index", "valid", "parameters")]
        self.index, self.valid, self.parameters = copies
        self.embeddings = embeddings[:kept].half()
        self.patches = None if patches is None else patches[:kept].half()

    def __len__(self) -> int:
        return len(self.index)


def _write(cache: TargetCache, images: Images, view: int, shard: int, chunks: Sequence[_Chunk]) -> None:
    index, valid, parameters = (
        torch.cat([vars(chunk)[key] for chunk in chunks]).numpy() for key in ("index", "valid", "parameters")
    )
    embeddings = torch.cat([chunk.embeddings for chunk in chunks]).cpu().numpy()  # the wait for the device
    patches = [chunk.patches for chunk in chunks if chunk.patches is not None]
    grid = torch.cat(patches).cpu().numpy() if patches else None
    for numbers in (embeddings, grid):
        if numbers is None:
            continue
        outside = valid & ~np.isfinite(numbers).all(axis=1)
        if outside.any():
            row = int(index[outside][0])
            raise ValueError(
                f"targets: the embedding of image {row} ({images.where(row)}), view {view}, is not finite, or beyond "
                "the 65504 of float16; a cache cannot hold this teacher, distil from it online"
            )
    write_shard(cache.file(view, shard), shard_table(index, valid, parameters, embeddings, grid))
