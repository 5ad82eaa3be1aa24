"""The shards, or the image files, that a URL names."""

import hashlib
import re
from dataclasses import dataclass
from itertools import product
from typing import Any

import fsspec

from distillation.sources.folders import is_image_name
from distillation.sources.retrying import Patience, retry

SUFFIXES = (".parquet", ".tar")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_VERSION_FACTS = ("ETag", "etag", "blob_id", "md5Hash", "mtime", "LastModified", "created")


@dataclass(frozen=True)
class Shard:
    """A parquet or tar file at a URL, or a single image where `is_image`."""

    url: str
    size_bytes: int
    """0 where the server does not say."""
    version: str
    """What the storage says of the content: its ETag, hash or time; "" where it says nothing."""

    @property
    def is_image(self) -> bool:
        """Whether it is no shard."""
        return not self.url.endswith(SUFFIXES)

    @property
    def key(self) -> str:
        """Names this content of this URL."""
        return hashlib.sha256(f"{self.url} {self.size_bytes} {self.version}".encode()).hexdigest()[:32]


def list_shards(source: str, patience: Patience) -> list[Shard]:
    """A URL of a file, a folder, a glob or a range such as "{00000..00146}" -> its shards, sorted by URL; where there
    is none, its image files.

    Args:
        source: URL that fsspec opens.
        patience: with the network.

    Raises:
        ValueError: an unknown kind of URL, one whose package is missing, or neither shards nor images there.
        OSError: the storage does not answer.
    """
    files = [file for url in _expand_ranges(source) for file in _list_one(url, patience)]
    shards = [file for file in files if not file.is_image] or files
    if not shards:
        raise ValueError(
            f"images: no file that ends in {' or '.join(SUFFIXES)} at {source}, and no image; give shards or their "
            "folder, or a folder of images"
        )
    return sorted(shards, key=lambda shard: shard.url)


def _expand_ranges(source: str) -> list[str]:
    """ "x-{08..10}" -> "x-08", "x-09", "x-10": the way to name many files where the server lists none (http)."""
    pieces = _RANGE.split(source)  # text, first, last, text, first, last, ..., text
    texts = pieces[::3]
    ranges = [
        [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        for first, last in zip(pieces[1::3], pieces[2::3], strict=True)
    ]
    return [
        "".join(part for pair in zip(texts, [*numbers, ""], strict=True) for part in pair)
        for numbers in product(*ranges)
    ]


def _list_one(url: str, patience: Patience) -> list[Shard]:
    try:
        fs, path = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:  # "Install s3fs to access S3", "Protocol not known"
        raise ValueError(f"images: {url} cannot be opened: {error}") from error
    try:
        found = retry(lambda: _details(fs, path), f"listing {url}", patience)
    except FileNotFoundError as error:
        raise ValueError(f"images: nothing at {url}") from error
    return [
        Shard(fs.unstrip_protocol(name), int(facts.get("size") or 0), version_of(facts))
        for name, facts in found.items()
        if (name.endswith(SUFFIXES) or is_image_name(name)) and facts["type"] != "directory"  # a file, or a link to one
    ]


def _details(fs: Any, path: str) -> dict[str, dict[str, Any]]:
    fs.invalidate_cache()  # fsspec keeps listings, also of what failed
    if any(sign in path for sign in "*?["):
        return fs.glob(path, detail=True)
    if path.endswith(SUFFIXES) or is_image_name(path):
        return {path: fs.info(path)}
    return fs.find(path, detail=True)


def version_of(facts: dict[str, Any]) -> str:
    """What a storage says of a file's content, "" where it says nothing."""
    return next((str(facts[name]) for name in _VERSION_FACTS if facts.get(name)), "")
