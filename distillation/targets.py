"""The teacher cache: embeddings of a fixed number of views an image, computed once."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from distillation.checkpointing import outlive_one_sigterm
from distillation.datasets import Views

ARRAY_FILE = "embeddings.npy"
FACTS_FILE = "facts.json"


class TargetCache:
    """Teacher embeddings in a memory-mapped float16 array (views, images, D); NaN rows are still to be computed.

    Args:
        folder: where the array lies beside what it depends on; made where it does not exist.
        shape: (views, images, D).
        depends_on: what the embeddings are a function of; JSON-compatible.

    Raises:
        ValueError: the folder holds embeddings of something else; the message names what differs.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], depends_on: dict):
        facts = json.loads(json.dumps(depends_on | {"shape": shape}))
        facts_file = folder / FACTS_FILE
        if facts_file.exists():
            found = json.loads(facts_file.read_text())
            differing = sorted(key for key in found.keys() | facts.keys() if found.get(key) != facts.get(key))
            if differing:
                told = "; ".join(f"{key} is {found.get(key)!r}, wanted {facts.get(key)!r}" for key in differing)
                raise ValueError(f"targets in {folder} are of another run: {told}; give another folder or remove it")
            self.embeddings = np.load(folder / ARRAY_FILE, mmap_mode="r+")
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.embeddings = np.lib.format.open_memmap(folder / ARRAY_FILE, "w+", np.float16, shape)
        for view in self.embeddings:
            view[:] = np.nan
        self.embeddings.flush()
        facts_file.write_text(json.dumps(facts, indent=2))  # last: a folder with facts has a whole array

    def read(self, view: int, indices: Tensor) -> Tensor:
        """(B,) rows -> (B, D) float32 embeddings of one view."""
        return torch.from_numpy(self.embeddings[view, indices.numpy()].astype(np.float32))

    def write(self, view: int, indices: Tensor, embeddings: Tensor) -> None:
        """Store (B, D) embeddings of (B,) rows."""
        self.embeddings[view, indices.numpy()] = embeddings.cpu().numpy().astype(np.float16)

    def missing(self, view: int) -> np.ndarray:
        """Rows of a view without embeddings, ascending."""
        return np.flatnonzero(np.isnan(self.embeddings[view, :, 0]))


def build(
    cache: TargetCache,
    make_views: Callable[[np.ndarray, int], Views],
    embed: Callable[[Tensor], Tensor],
    *,
    batch_size: int,
    workers: int,
    advance: Callable[[int], object],
    stop: Callable[[], bool],
) -> bool:
    """Compute what is missing; True when the cache is whole, False where `stop` asked to leave.

    Args:
        make_views: (rows, view number) -> the teacher's views of these rows.
        embed: (B, 3, H, W) uint8 -> (B, D).
        advance: told the number of embeddings stored after each batch.
        stop: asked after each batch.
    """
    for view in range(len(cache.embeddings)):
        loader = DataLoader(
            make_views(cache.missing(view), view),
            batch_size=batch_size,
            num_workers=workers,
            worker_init_fn=outlive_one_sigterm,
        )
        for batch in loader:
            cache.write(view, batch["index"], embed(batch["teacher"]))
            advance(len(batch["index"]))
            if stop():
                cache.embeddings.flush()
                return False
        cache.embeddings.flush()
    return True
