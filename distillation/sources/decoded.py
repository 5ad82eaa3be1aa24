"""Images whose pixels are kept decoded in a file, for runs that show each of them many times."""

import os
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from distillation.interrupts import leave_signals_to_the_main_process
from distillation.sources.decoding import DamagedImage
from distillation.sources.images import Images

PIXELS, INDEX = "pixels.uint8", "index.int64"
CHUNK = 16
"""Images that a worker hands over at once."""
SYNCED_BYTES = 2**26
"""Pixels that are brought to the disk at once; a crash costs as many."""


class DecodedImages:
    """Images that read from the file of `keep_decoded`: the same pixels, order, places and fingerprint.

    What could not be decoded then is asked of the images themselves, which may have been repaired since; not of shards
    at URLs, of which each such view would fetch one.

    Args:
        images: of which they are the pixels.
        folder: that holds the pixels (the bytes of all images, row after row, RGB) and the index.

    Raises:
        ValueError: the folder does not hold as much as its index says.
    """

    def __init__(self, images: Images, folder: Path):
        self.images = images
        self.folder = folder
        self.shards = images.shards
        self.index = np.fromfile(folder / INDEX, np.int64).reshape(-1, 3)  # first byte, height, width; damaged: 0, 0
        rows, held = len(self.index), (folder / PIXELS).stat().st_size
        if rows != len(images) or held != _end(self.index):
            raise ValueError(
                f"decoded: expected {len(images):,} images in {_end(self.index):,} bytes in {folder}, got {rows:,} in "
                f"{held:,}; delete it"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "pixels"}  # a process maps them itself

    @cached_property
    def fingerprint(self) -> str:
        """That of the images."""
        return self.images.fingerprint

    @cached_property
    def pixels(self) -> np.ndarray:
        """All bytes, memory-mapped."""
        return np.memmap(self.folder / PIXELS, np.uint8, "r")

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        first, height, width = self.index[index].tolist()
        if height == 0 and self.shards is not None:
            raise DamagedImage(f"it could not be decoded for {self.folder}; once it is repaired, delete that folder")
        if height == 0:
            return self.images.read(index)
        kept = self.pixels[first : first + 3 * height * width]
        return torch.from_numpy(np.array(kept)).view(height, width, 3).permute(2, 0, 1)

    def where(self, index: int) -> str:
        """The place of one image, for people."""
        return self.images.where(index)


def keep_decoded(images: Images, folder: Path, workers: int) -> DecodedImages:
    """Decode all images into a folder, or take what lies there; of the processes of a machine one does, others wait.

    Args:
        images: by whose fingerprint a folder of their own in `folder` is named.
        folder: on a local disk; it takes 3 x height x width bytes per image.
        workers: processes that decode, at most one a core; what was interrupted is resumed.

    Raises:
        ValueError: what lies there is damaged.
        OSError: the folder cannot be written.
    """
    own = _own(images, folder)
    own.mkdir(parents=True, exist_ok=True)
    with FileLock(own / "lock"):
        if not (own / INDEX).exists():
            _decode(images, own, workers)
    return DecodedImages(images, own)


def find_decoded(images: Images, folder: Path) -> Images:
    """The images from a folder of `keep_decoded` where it is whole; else as they are, which is said."""
    own = _own(images, folder)
    if (own / INDEX).exists():
        return DecodedImages(images, own)
    print(f"decoded: nothing whole in {folder} yet, so what follows decodes at every view")
    return images


def _own(images: Images, folder: Path) -> Path:
    return folder.expanduser() / images.fingerprint


def _decode(images: Images, folder: Path, workers: int) -> None:
    """Write pixels, then the index of them, which gets its name last."""
    partial = folder / f"{INDEX}.partial"
    for path in (partial, folder / PIXELS):
        path.touch()
    done = np.fromfile(partial, np.int64, partial.stat().st_size // 24 * 3).reshape(-1, 3)
    if (folder / PIXELS).stat().st_size < _end(done):  # somebody deleted it
        done = done[:0]
    remaining = DataLoader(
        _Flat(images, len(done)),
        batch_size=CHUNK,
        num_workers=min(workers, os.cpu_count() or 1),
        collate_fn=_side_by_side,
        worker_init_fn=leave_signals_to_the_main_process,
    )
    with (folder / PIXELS).open("ab") as pixels, partial.open("r+b") as index:
        end = _end(done)
        pixels.truncate(end)
        index.truncate(done.nbytes)
        index.seek(done.nbytes)
        bar = tqdm(total=len(images), initial=len(done), unit="img", unit_scale=True, desc="decoding", leave=False)
        rows: list[np.ndarray] = []  # of the index, of pixels that may not have come to the disk
        try:
            for bytes_of_all, sizes in remaining:
                pixels.write(bytes_of_all.numpy().data)
                lengths = 3 * sizes.prod(1).numpy()
                firsts = end + np.cumsum(lengths) - lengths
                rows.append(np.column_stack([firsts, sizes.numpy()]).astype(np.int64))
                end += int(lengths.sum())
                bar.update(len(sizes))
                if end - rows[0][0, 0] >= SYNCED_BYTES:
                    _sync(pixels, index, rows)
        finally:
            _sync(pixels, index, rows)
            bar.close()
    partial.rename(folder / INDEX)


def _sync(pixels: BinaryIO, index: BinaryIO, rows: list[np.ndarray]) -> None:
    """Bring pixels to the disk, then the rows that say that they are there."""
    for file, data in ((pixels, b""), (index, b"".join(part.tobytes() for part in rows))):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    rows.clear()


def _end(index: np.ndarray) -> int:
    """(N, 3) rows of the index -> how many bytes of pixels they speak of."""
    return int((index[:, 0] + 3 * index[:, 1] * index[:, 2]).max(initial=0))


class _Flat(Dataset):
    """Images from one on, as their bytes (3 * H * W,) row after row, and (H, W); damaged ones are empty."""

    def __init__(self, images: Images, first: int):
        self.images = images
        self.first = first

    def __len__(self) -> int:
        return len(self.images) - self.first

    def __getitem__(self, place: int) -> tuple[Tensor, tuple[int, int]]:
        try:
            image = self.images.read(self.first + place)
        except DamagedImage:
            return torch.empty(0, dtype=torch.uint8), (0, 0)
        return image.permute(1, 2, 0).reshape(-1), (image.shape[1], image.shape[2])


def _side_by_side(items: list[tuple[Tensor, tuple[int, int]]]) -> tuple[Tensor, Tensor]:
    flat, sizes = zip(*items, strict=True)
    return torch.cat(flat), torch.tensor(sizes)
