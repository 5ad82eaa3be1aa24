"""A shard at a URL as a local Arrow file with random access."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from distillation.sources.listing import Shard
from distillation.sources.retrying import Patience, retry
from distillation.sources.shard_cache import ShardCache
from distillation.sources.tars import TarImages

_ROWS_PER_BATCH = 64
_SCHEMA = pa.schema([("bytes", pa.large_binary())])


def fetch(shard: Shard, rows: int | None, cache: ShardCache, patience: Patience) -> Path:
    """The Arrow file of a shard in the cache, fetched where it is not there.

    Args:
        shard: to fetch.
        rows: images that it must hold; None: any number.
        cache: where it goes.
        patience: with the network.

    Raises:
        ValueError: another number of images.
        OSError: the download fails, or arrives damaged, each time; names the URL.
    """

    def fill(path: Path) -> None:
        download(shard, path, patience)
        arrived = count_rows(path)
        if rows is not None and arrived != rows:
            raise ValueError(
                f"images: {shard.url} holds {arrived} images, but {rows} were counted at the start, or are stated in "
                "the sizes.json beside it; if the shard was changed, start again, else correct that file"
            )

    return cache.ensure(shard.key, 2 * shard.size_bytes, fill)


def download(shard: Shard, path: Path, patience: Patience) -> None:
    """Write the images of a shard, as they are encoded, to an Arrow file; the download lies beside it for a while."""
    whole = path.with_name(path.name + Path(shard.url).suffix)

    def attempt() -> None:
        fs, remote = fsspec.url_to_fs(shard.url)  # not kept: a filesystem's connections do not survive a fork
        fs.get_file(remote, str(whole))
        arrived = whole.stat().st_size
        if shard.size_bytes and arrived != shard.size_bytes:
            raise OSError(f"{arrived:,} of {shard.size_bytes:,} bytes arrived")
        write_arrow(_in_parquet(whole) if whole.suffix == ".parquet" else _in_tar(whole), path)

    try:
        retry(attempt, f"fetching {shard.url}", patience)
    finally:
        whole.unlink(missing_ok=True)


def _in_parquet(path: Path) -> Iterator[bytes]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_PER_BATCH, columns=["image"]):
            yield from map(image_bytes, batch.column(0))


def image_bytes(stored: pa.Scalar) -> bytes:
    """A value of a parquet column `image`, a file's bytes or {bytes, path} -> the bytes; b"" where there are none."""
    value = stored.as_py()
    return (value["bytes"] if isinstance(value, dict) else value) or b""


def _in_tar(path: Path) -> Iterator[bytes]:
    images = TarImages([str(path)])
    return map(images.encoded, range(len(images)))


def write_arrow(images: Iterable[bytes], path: Path) -> None:
    """Write encoded images as the column `bytes` of an Arrow file, in batches of equal length."""
    images = iter(images)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as writer:
        while rows := list(islice(images, _ROWS_PER_BATCH)):
            writer.write_batch(pa.record_batch([pa.array(rows, pa.large_binary())], schema=_SCHEMA))


def read_row(path: Path, row: int) -> bytes:
    """One image of a file by `write_arrow`, without reading the others; raises FileNotFoundError."""
    with pa.memory_map(str(path)) as file:
        batch = pa.ipc.open_file(file).get_batch(row // _ROWS_PER_BATCH)
        return batch.column(0)[row % _ROWS_PER_BATCH].as_py()


def count_rows(path: Path) -> int:
    """Images in a file by `write_arrow`."""
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        batches = reader.num_record_batches
        return (batches - 1) * _ROWS_PER_BATCH + reader.get_batch(batches - 1).num_rows if batches else 0
