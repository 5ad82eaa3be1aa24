"""Shards of parquet as one memory-mapped array, because parquet itself cannot be mapped."""

import hashlib
import json
import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from huggingface_hub.utils import WeakFileLock
from tqdm import tqdm

from distillation.cache.shards import read_column

MAPS_FOLDER = ".mapped"


class MappedColumn:
    """A list column of one view's shards, (rows, width) float16, read from the page cache of the system.

    The first process to ask copies the column out of the shards; others wait for it. A copy is known by the name,
    size and time of its shards, so that one of other shards is made again.

    Args:
        shards: files in the order of their rows.
        name: of the column.
        rows, width: of the whole view.
        cache: folder of the cache.

    Raises:
        ValueError: a shard cannot be read or holds other rows.
        OSError: the copy cannot be written.
    """

    def __init__(self, shards: Sequence[Path], name: str, rows: int, width: int, cache: Path):
        stats = [(shard.name, shard.stat().st_size, shard.stat().st_mtime_ns) for shard in shards]
        key = hashlib.sha256(json.dumps([stats, width]).encode()).hexdigest()[:16]
        prefix = f"{shards[0].parent.name}-{name}-"
        path = _place(cache, f"{prefix}{key}.float16")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with WeakFileLock(path.parent / ".lock"):
                if not path.exists():
                    _copy(shards, name, rows, width, path)
                    for stale in set(path.parent.glob(f"{prefix}*")) - {path}:
                        stale.unlink(missing_ok=True)
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._rows = np.frombuffer(self._map, np.float16).reshape(rows, width)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """(B,) -> (B, width) float16, a copy."""
        rows = self._rows[indices]
        if sys.platform != "win32":
            self._map.madvise(mmap.MADV_DONTNEED)  # pages stay in the system's cache; this process' memory stays flat
        return rows


class FirstShard:
    """A list column's rows in a view's first shard, in memory, in place of those of the whole view.

    Args:
        shard: the file; rows of damaged images become zeros.
        name: of the column.

    Raises:
        ValueError: the shard cannot be read.
    """

    def __init__(self, shard: Path, name: str):
        self._rows = np.nan_to_num(read_column(shard, name, 0))

    def read(self, indices: np.ndarray) -> np.ndarray:
        """(B,) -> (B, width) float16, a copy."""
        return self._rows[indices % len(self._rows)]


def _place(cache: Path, file: str) -> Path:
    """Where a copy lies or goes: within the cache, or where that cannot be written in the user's own folder."""
    within = cache / MAPS_FOLDER
    if (within / file).exists() or os.access(within if within.is_dir() else cache, os.W_OK):
        return within / file
    own = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return own / "xdistill" / "targets" / hashlib.sha256(str(cache.resolve()).encode()).hexdigest()[:16] / file


def _copy(shards: Sequence[Path], name: str, rows: int, width: int, path: Path) -> None:
    partial = path.with_name(f".{path.name}.partial")
    first = 0
    try:
        with partial.open("wb") as file:
            for shard in tqdm(shards, desc=f"mapping {shards[0].parent.name}", unit="shard", leave=False):
                numbers = read_column(shard, name, first)
                if numbers.shape[1] != width or first + len(numbers) > rows:
                    raise ValueError(
                        f"targets: {shard} has {len(numbers)} rows of {numbers.shape[1]} numbers from row {first} on, "
                        f"the cache's are {rows} of {width}; delete it and compute it"
                    )
                file.write(numbers.data)
                first += len(numbers)
            if first != rows:
                raise ValueError(f"targets: the shards of {shards[0].parent} hold {first} rows, not {rows}")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OSError(
            f"targets: {path}, {rows * width * 2 / 1e9:.1f} GB, could not be written: {error}; training reads the "
            "embeddings from it, make room for it"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
