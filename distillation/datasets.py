"""Image collections as map-style datasets of RGB tensors."""

import os
import re
from collections.abc import Callable, Sequence
from glob import escape as glob_escape
from glob import glob
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.decoding import DamagedImage
from distillation.sources.folders import FolderImages, is_image_name
from distillation.sources.hdf5_frames import open_hdf5
from distillation.sources.images import Images
from distillation.sources.lerobot import open_lerobot
from distillation.sources.prefetching import Prefetching
from distillation.sources.remote import SHARD_CACHE, SHARD_CACHE_GB, is_remote, open_urls
from distillation.sources.remote_recordings import at_hand
from distillation.sources.tables import LABELLED, open_hub, open_parquet
from distillation.sources.tars import TarImages
from distillation.sources.video_files import open_videos
from distillation.sources.windows import windowed_order
from distillation.sources.zarr_frames import open_zarr
from distillation.views import Augmentation, Interpolation, random_view, render

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?<!\.parquet)(?<!\.tar)")
ACCEPTED = (
    "give parquet files, tar files, folders or globs of them, folders of images, a Hub dataset id, a URL, "
    "lerobot:<folder or id>, or zarr:, hdf5:, video: with a path"
)
SPREAD_SHARDS = 32
NEIGHBOURS = 100  # as many images one after the other may be damaged

Kind = Literal["parquet", "tar", "folder", "hub", "remote", "lerobot", "zarr", "hdf5", "video"]

RECORDINGS: tuple[Kind, ...] = ("lerobot", "zarr", "hdf5", "video")
"""Kinds that the source names, as "zarr:<path>"."""


class LabelledImages:
    """Images with the number of the class of each.

    Args:
        images: what is read.
        labels: (N,) int64, from 0 up.
        names: of the classes, where they are known.
    """

    def __init__(self, images: Images, labels: np.ndarray, names: tuple[str, ...] | None):
        self.images = images
        self.labels = labels
        self.names = names
        self.classes = len(names) if names else int(labels.max()) + 1

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        return self.images.read(index)

    def where(self, index: int) -> str:
        """The place of one image, for people."""
        return self.images.where(index)


def open_images(
    sources: Sequence[str],
    split: str = "train",
    shard_cache: Path = SHARD_CACHE,
    shard_cache_gb: float = SHARD_CACHE_GB,
) -> Images:
    """Images of all sources, one source after the other; labels are not read.

    Args:
        sources: parquet files with a column `image`, tar files with images as members, folders or globs of either,
            image files or folders that hold them at any depth, Hub dataset ids, fsspec URLs, robot recordings.
        split: of Hub datasets.
        shard_cache, shard_cache_gb: where shards at URLs are fetched to, see `open_urls`; recordings at URLs are
            fetched whole into its folder `recordings`, without a limit.

    Raises:
        ValueError: nothing found, or it cannot be read; says what and where.
    """
    parts: list[Images] = []
    for kind, places in groupby(_classify(sources), key=itemgetter(0)):
        parts.extend(_open(kind, [place for _, place in places], split, shard_cache, shard_cache_gb))
    return parts[0] if len(parts) == 1 else ConcatenatedImages(parts)


def _open(kind: Kind, places: list[str], split: str, shard_cache: Path, shard_cache_gb: float) -> Sequence[Images]:
    recordings = shard_cache.expanduser() / "recordings"
    match kind:
        case "parquet":
            return [open_parquet(places)]
        case "tar":
            return [TarImages(places)]
        case "folder":
            return [FolderImages(places)]
        case "remote":
            return open_urls(places, shard_cache, shard_cache_gb)
        case "hub":
            return [open_hub(name, split) for name in places]
        case "lerobot":
            return [open_lerobot(at_hand(source, recordings)) for source in places]
        case "zarr":
            return [open_zarr(at_hand(source, recordings)) for source in places]
        case "hdf5":
            return [open_hdf5(at_hand(source, recordings)) for source in places]
        case "video":
            return [open_videos(at_hand(source, recordings)) for source in places]


def open_labelled(sources: Sequence[str], split: str = "train") -> LabelledImages:
    """Images with labels: the column `label` of parquet files or a Hub dataset, or sub-folders named after classes.

    Args:
        sources: all of one kind; of Hub datasets a single one.
        split: of a Hub dataset.

    Raises:
        ValueError: sources without labels, or of several kinds; labels that are not whole numbers from 0 up.
    """
    found = _classify(sources)
    kinds = {kind for kind, _ in found}
    paths = [place for _, place in found]
    if kinds == {"parquet"}:
        images = open_parquet(paths, LABELLED)
    elif kinds == {"folder"}:
        images = FolderImages(paths)
    elif kinds == {"hub"} and len(paths) == 1:
        images = open_hub(paths[0], split, LABELLED)
    else:
        raise ValueError(
            "labels: expected parquet files, or folders with a sub-folder for each class, or one Hub dataset id; got "
            f"{', '.join(f'{place} ({kind})' for kind, place in found)}"
        )
    labels, names = images.labels()
    return LabelledImages(images, labels, names)


def places(sources: Sequence[str], split: str = "train") -> set[str]:
    """All that sources stand for, in words that do not depend on how they were spelt."""
    found = set()
    for kind, place in _classify(sources):
        if kind == "hub":
            found.add(f"the split {split!r} of {place}")
        else:
            found.add(os.path.realpath(place) if kind in ("parquet", "tar", "folder") else place)
    return found


def _classify(sources: Sequence[str]) -> list[tuple[Kind, str]]:
    """Sources -> (kind, place) of all that they stand for; folders of parquet or tar files are spelt out."""
    found = [place for source in sources for place in _expand(source)]
    if not found:
        raise ValueError(f"images: an empty list; {ACCEPTED}")
    return found


def _expand(source: str) -> list[tuple[Kind, str]]:
    for recording in RECORDINGS:
        if source.startswith(f"{recording}:"):
            return [(recording, source)]
    if is_remote(source):
        return [("remote", source)]
    if os.path.exists(source):
        return _expand_path(source)
    paths = [os.path.normpath(path) for path in sorted(glob(source, recursive=True))]
    if paths:
        found = dict.fromkeys(place for path in paths for place in _expand_path(path))
        folders = {place for kind, place in found if kind == "folder" and os.path.isdir(place)}
        return [  # each image once: what lies in a folder of images is read with it
            (kind, place)
            for kind, place in found
            if kind != "folder" or not folders & set(map(str, Path(place).parents))
        ]
    if HUB_ID.fullmatch(source) and not os.path.exists(os.path.dirname(source)):
        return [("hub", source)]
    raise ValueError(f"images: nothing at {source}; {ACCEPTED}")


def _expand_path(path: str) -> list[tuple[Kind, str]]:
    if os.path.isdir(path):
        files = glob(os.path.join(glob_escape(path), "*.parquet")) + glob(os.path.join(glob_escape(path), "*.tar"))
        return [place for file in sorted(files) for place in _expand_path(file)] or [("folder", path)]
    if path.endswith(".parquet"):
        return [("parquet", path)]
    if path.endswith(".tar"):
        return [("tar", path)]
    if is_image_name(path):
        return [("folder", path)]
    raise ValueError(f"images: {path} is of no known kind; {ACCEPTED}")


class Views(Dataset):
    """Views of images; a key is (index, number of the view, side of the student's view in px or 0 for none).

    An item is a pure function of its key: {"asked": index, "index": index, "student": (3, S, S) uint8, "teacher0":
    (3, T, T) uint8, ...}, all of one crop. Where the image that is asked for is damaged, the next undamaged one takes
    its place, and "index" differs from "asked".

    Args:
        images: that are shown.
        seed: of the views.
        augmentation: how crop, flip, colour and blur are drawn.
        teachers: (side in px, interpolation) of each teacher's view; empty where embeddings are cached.
    """

    def __init__(
        self,
        images: Images,
        seed: int,
        augmentation: Augmentation,
        teachers: Sequence[tuple[int, Interpolation]] = (),
    ):
        self.images = images
        self.seed = seed
        self.augmentation = augmentation
        self.teachers = tuple(teachers)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int, int]) -> dict[str, Any]:
        asked, number, student_px = map(int, key)
        index, image = self._undamaged(asked)
        _, height, width = image.shape
        view = random_view(self.seed, number, index, (height, width), self.augmentation)
        item: dict[str, Any] = {"asked": asked, "index": index}
        if student_px:
            item["student"] = render(image, view, student_px)
        for position, (size_px, interpolation) in enumerate(self.teachers):
            item[f"teacher{position}"] = render(image, view, size_px, interpolation)
        return item

    def _undamaged(self, asked: int) -> tuple[int, Tensor]:
        """The image itself, or the first after it that can be read."""
        tries = min(NEIGHBOURS, len(self.images))
        for offset in range(tries):
            index = (asked + offset) % len(self.images)
            try:
                return index, self.images.read(index)
            except DamagedImage as error:
                reason = f"{self.images.where(index)}: {error}"
        raise ValueError(f"images: {tries} one after the other cannot be read; the last is {reason}")


def prefetching(images: Images) -> Callable[[np.ndarray], None] | None:
    """What to tell which images will be read soon; None where they lie at hand."""
    return images.prefetch if images.shards is not None and isinstance(images, Prefetching) else None


HIGHEST_SEED = 4095
"""A seed and an epoch share the 32 bits that torch's generator of the CPU reads of a seed."""


def require_seed(seed: int) -> None:
    """Raise a ValueError for a seed whose epochs another one's would repeat."""
    if not 0 <= seed <= HIGHEST_SEED:
        raise ValueError(f"seed: expected 0 to {HIGHEST_SEED}, got {seed}")


def some_images(images: Images, seed: int, count: int) -> np.ndarray:
    """Up to `count` of them, drawn at random, rising int64: for statistics that stand for all.

    Where images lie in remote shards, they are of up to SPREAD_SHARDS shards, evenly spaced, so that few are fetched.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    rows = np.arange(len(images), dtype=np.int64)
    if images.shards is not None:
        ends = np.cumsum(images.shards)
        chosen = np.unique(np.linspace(0, len(ends) - 1, SPREAD_SHARDS).round().astype(np.int64))
        rows = np.concatenate([rows[ends[shard] - images.shards[shard] : ends[shard]] for shard in chosen])
    return np.sort(generator.permutation(rows)[:count])


def epoch_order(images: Images, seed: int, epoch: int) -> np.ndarray:
    """A permutation of range(len(images)), int64, that is a pure function of (seed, epoch).

    Where images lie in remote shards, few shards are read at a time (`windowed_order`).
    """
    if images.shards is not None:
        return windowed_order(images.shards, seed, epoch)
    generator = torch.Generator().manual_seed((seed << 20) + epoch)
    return torch.randperm(len(images), generator=generator).numpy()
