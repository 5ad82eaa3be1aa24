"""How many images a shard at a URL holds."""

import json
from collections.abc import Iterable

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from distillation.sources.fetching import count_rows, fetch
from distillation.sources.listing import Shard
from distillation.sources.retrying import Patience, retry
from distillation.sources.shard_cache import ShardCache

TAR_COUNTS = "sizes.json"
"""Optional file beside tar shards, as WebDataset users write it: {file name: images in it}."""


def stated_counts(shards: Iterable[Shard], patience: Patience) -> dict[str, int]:
    """URL -> images, from the files `sizes.json` beside tar shards.

    Raises:
        ValueError: such a file holds something else.
        OSError: the storage does not answer.
    """
    counts = {}
    for folder in sorted({shard.url.rpartition("/")[0] for shard in shards if shard.url.endswith(".tar")}):
        url = f"{folder}/{TAR_COUNTS}"
        try:
            text = retry(lambda url=url: _read(url), f"reading {url}", patience)
        except (FileNotFoundError, PermissionError):  # a bucket whose files may not be listed forbids missing ones
            continue
        try:
            counts |= {f"{folder}/{name}": int(count) for name, count in json.loads(text).items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"images: {url}: expected {{name of a tar file: images in it}} as JSON ({error}); correct or delete it"
            ) from error
    return counts


def count_images(shard: Shard, cache: ShardCache, patience: Patience) -> int:
    """Read from the footer of a parquet file; a tar is fetched to be counted. Kept in the cache folder.

    Raises:
        ValueError: a parquet file without images in it.
        OSError: the storage does not answer.
    """
    kept = cache.note(f"{shard.key}.count")
    if kept is not None:
        return int(kept)
    if shard.url.endswith(".tar"):
        count = _count_fetched(shard, cache, patience)
    else:
        schema, count = retry(lambda: _footer(shard.url), f"reading {shard.url}", patience)
        _require_images(schema, shard.url)
    cache.write_note(f"{shard.key}.count", str(count))
    return count


def _count_fetched(shard: Shard, cache: ShardCache, patience: Patience) -> int:
    while True:
        path = fetch(shard, None, cache, patience)
        try:
            return count_rows(path)
        except FileNotFoundError:  # deleted since, to make room for another one
            continue


def _read(url: str) -> bytes:
    fs, path = fsspec.url_to_fs(url)
    try:
        return fs.cat_file(path)
    except Exception as error:
        if getattr(error, "status", None) in (401, 403):  # aiohttp's, which is no PermissionError
            raise PermissionError(str(error)) from error
        raise


def _footer(url: str) -> tuple[pa.Schema, int]:
    fs, path = fsspec.url_to_fs(url)
    with fs.open(path) as file, pq.ParquetFile(file) as table:
        return table.schema_arrow, table.metadata.num_rows


def _require_images(schema: pa.Schema, url: str) -> None:
    """Raise a ValueError where a parquet file has no column `image` of encoded files."""
    if "image" not in schema.names:
        raise ValueError(f"images: expected a column 'image' in {url}, got columns {', '.join(schema.names)}")
    kind = schema.field("image").type
    stored = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
    if not (pa.types.is_binary(stored) or pa.types.is_large_binary(stored)):
        raise ValueError(f"images: expected the bytes of image files in the column 'image' of {url}, got {kind}")
