"""Rows of a teacher cache whose images were damaged when they were computed, but are not any more."""

from collections.abc import Sequence

from distillation.cache.shards import damaged_rows
from distillation.cache.store import TargetCache
from distillation.cache.views import Shard
from distillation.sources.decoding import DamagedImage
from distillation.sources.images import Images


def discard_repaired(cache: TargetCache, images: Images, shards: Sequence[Shard]) -> int:
    """Delete those of some shards that lack the embedding of an image which can be read; returns how many there were.

    Args:
        cache: whose shards; they are missing then, and computed again by a build.
        images: of the cache.
        shards: the share of this process, so that no two processes disagree on what is missing.

    Raises:
        ValueError: a shard cannot be read.
    """
    readable: dict[int, bool] = {}  # each image once, however many views it has
    deleted = 0
    for view, shard in shards:
        file = cache.file(view, shard)
        damaged = damaged_rows(file) if file.exists() else []
        readable |= {index: _can_be_read(images, index) for index in damaged if index not in readable}
        if any(readable[index] for index in damaged):
            file.unlink()
            deleted += 1
    return deleted


def require_nothing_repaired(cache: TargetCache, images: Images) -> None:
    """Raise a ValueError where an image that the cache lacks can be read: a run would stop when it comes to it."""
    damaged = sorted({index for shard in cache.shards() for index in damaged_rows(cache.file(*shard))})
    if found := [index for index in damaged if _can_be_read(images, index)]:
        raise ValueError(
            f"targets: {len(found)} images could not be read when {cache.folder} was built, and can be now, the first "
            f"of them {images.where(found[0])}; the command that began the cache computes their embeddings: "
            f"{cache.facts.made.get('command')}"
        )


def _can_be_read(images: Images, index: int) -> bool:
    try:
        images.read(index)
    except DamagedImage:
        return False
    return True
