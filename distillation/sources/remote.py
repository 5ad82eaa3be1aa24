"""Images in parquet and tar shards at fsspec URLs, fetched to the local disk as they are read."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor
from tqdm import tqdm

from distillation.sources.counting import count_images, stated_counts
from distillation.sources.decoding import decode
from distillation.sources.fetching import fetch, image_bytes, read_row
from distillation.sources.fingerprint import fingerprint
from distillation.sources.listing import Shard, list_shards
from distillation.sources.locating import locate
from distillation.sources.prefetching import Prefetcher
from distillation.sources.remote_files import RemoteFiles
from distillation.sources.retrying import Patience, retry
from distillation.sources.shard_cache import ShardCache
from distillation.sources.windows import WINDOW_ROWS

SHARD_CACHE = Path("~/.cache/xdistill-encoder/shards")
SHARD_CACHE_GB = 100.0
_REQUESTS_AT_ONCE = 8


def is_remote(source: str) -> bool:
    """Whether a source is a URL of fsspec: s3://, gs://, hf://, https://, file://, memory://."""
    return "://" in source


class RemoteShards:
    """Images of shards at URLs. Any row can be read at any time; reading in `windowed_order` keeps few shards here.

    Args:
        found: the shards.
        counts: images in each.
        cache: where fetched shards lie.
        patience: with the network.
    """

    def __init__(self, found: Sequence[Shard], counts: Sequence[int], cache: ShardCache, patience: Patience):
        self.found = tuple(found)
        self.shards = tuple(counts)
        self.cache = cache
        self.patience = patience
        self._ends = np.cumsum(self.shards)
        self._prefetcher: Prefetcher | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_prefetcher": None}  # threads stay in their process

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def fingerprint(self) -> str:
        """Of the number of images with the bytes of some, as of local ones; kept in the cache folder."""
        keys = " ".join(shard.key for shard in self.found)
        name = f"{hashlib.sha256(keys.encode()).hexdigest()[:32]}.fingerprint"
        with self.cache.lock(name):
            kept = self.cache.note(name)
            if kept is None:
                with tqdm(desc="fingerprint of remote images", unit="img") as bar:
                    groups: dict[tuple[str, int], pa.ChunkedArray] = {}  # neighbouring samples may share one
                    kept = fingerprint(len(self), lambda index: self._sample(index, groups, bar))
                self.cache.write_note(name, kept)
        return kept

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; fetches the shard where it is not here.

        Raises:
            DamagedImage: the image cannot be decoded.
            OSError: its shard cannot be fetched.
        """
        return decode(self.encoded(index))

    def encoded(self, index: int) -> bytes:
        """The file of one image, as it is stored."""
        shard, row = locate(self._ends, index)
        while True:
            path = self._fetch(shard)
            try:
                self.cache.touch(path)
                return read_row(path, row)
            except FileNotFoundError:  # deleted since, to make room for another one
                continue

    def where(self, index: int) -> str:
        """The place of one image, for people."""
        shard, row = locate(self._ends, index)
        return f"{self.found[shard].url} row {row}"

    def prefetch(self, indices: np.ndarray) -> None:
        """Start to fetch the shards of rows that will be read soon, in threads of this process; returns at once."""
        if self._prefetcher is None:
            self._prefetcher = Prefetcher(self._fetch)
        shards, first_seen = np.unique(np.searchsorted(self._ends, indices, side="right"), return_index=True)
        self._prefetcher.request(shards[np.argsort(first_seen)].tolist())

    def _fetch(self, shard: int) -> Path:
        return fetch(self.found[shard], self.shards[shard], self.cache, self.patience)

    def _sample(self, index: int, groups: dict[tuple[str, int], pa.ChunkedArray], bar: tqdm) -> bytes:
        """`encoded`; of a parquet shard that is not here only the row group is fetched."""
        bar.update()
        shard, row = locate(self._ends, index)
        url = self.found[shard].url
        if url.endswith(".tar") or self.cache.path(self.found[shard].key).exists():
            return self.encoded(index)
        return retry(lambda: _row_of_parquet(url, row, groups), f"reading {url}", self.patience)


def open_urls(
    sources: Sequence[str],
    shard_cache: Path = SHARD_CACHE,
    shard_cache_gb: float = SHARD_CACHE_GB,
    window: int = WINDOW_ROWS,
    patience: Patience | None = None,
) -> list["RemoteShards | RemoteFiles"]:
    """Shards, folders, globs, ranges, image files at URLs -> their images, neighbouring sources of one kind together.

    Images follow the order of the sources, then of the URLs.

    Args:
        sources: see `list_shards`; credentials and endpoints are those of fsspec and of the storage's package.
        shard_cache: folder for fetched shards; processes and runs on one machine share it.
        shard_cache_gb: limit of the folder in 10^9 bytes. Where it is less than all shards take, old ones are deleted.
        window: rows of the windows of `windowed_order`; two must fit the limit.
        patience: with the network; None: six tries in half a minute.

    Raises:
        ValueError: nothing there; no images in it; a limit too small for two windows.
        OSError: the storage does not answer.
    """
    patience = patience or Patience()
    listed = [list_shards(source, patience) for source in sources]
    parts: list[RemoteShards | RemoteFiles] = []
    for images, group in groupby(listed, key=lambda found: found[0].is_image):
        found = [file for files in group for file in files]
        if images:
            parts.append(RemoteFiles((file.url for file in found), patience))
        else:
            parts.append(_open_shards(found, shard_cache, shard_cache_gb, window, patience))
    return parts


def _open_shards(
    found: Sequence[Shard], shard_cache: Path, shard_cache_gb: float, window: int, patience: Patience
) -> RemoteShards:
    cache = ShardCache(shard_cache.expanduser(), round(shard_cache_gb * 1e9))
    stated = stated_counts(found, patience)

    def count(shard: Shard) -> int:
        return stated[shard.url] if shard.url in stated else count_images(shard, cache, patience)

    with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
        counts = list(tqdm(pool.map(count, found), "counting images", len(found), unit="shard", leave=False))
    if not sum(counts):
        raise ValueError(f"images: {len(found)} shards, the first {found[0].url}, hold no image")
    _require_room(found, counts, cache, window)
    return RemoteShards(found, counts, cache, patience)


def _require_room(found: Sequence[Shard], counts: Sequence[int], cache: ShardCache, window: int) -> None:
    """For a window that is read, the next that is prefetched, a shard that is unpacked."""
    total, largest = sum(shard.size_bytes for shard in found), max(shard.size_bytes for shard in found)
    of_window = int(total * min(1.0, window / sum(counts))) + largest
    needed = min(total, 2 * of_window) + 2 * largest
    if needed > cache.limit_bytes:
        raise ValueError(
            f"shard_cache_gb: expected at least {needed / 1e9:.3g} for two windows of these shards "
            f"({total / 1e9:.3g} GB in all), got {cache.limit_bytes / 1e9:.3g}; raise it"
        )


def _row_of_parquet(url: str, row: int, groups: dict[tuple[str, int], pa.ChunkedArray]) -> bytes:
    """One image of a parquet file; `groups` keeps the row group that was read last."""
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path) as file, pq.ParquetFile(file) as table:
        group = 0
        while row >= table.metadata.row_group(group).num_rows:
            row -= table.metadata.row_group(group).num_rows
            group += 1
        if (url, group) not in groups:
            groups.clear()
            groups[url, group] = table.read_row_group(group, columns=["image"]).column("image")
    return image_bytes(groups[url, group][row])
