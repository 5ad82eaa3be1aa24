"""Frames of demonstrations in HDF5 files, as robomimic and ALOHA store them."""

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillation.sources.decoding import DamagedImage
from distillation.sources.fingerprint import fingerprint
from distillation.sources.frame_specs import parse_frame_spec
from distillation.sources.locating import locate

SUFFIXES = (".hdf5", ".h5")
OPEN_FILES = 8


def open_hdf5(source: str) -> "Hdf5Frames":
    """ "hdf5:<file or folder>[#camera][?every=n]" -> frames; a camera is the last part of an array's name."""
    spec = parse_frame_spec(source)
    return Hdf5Frames(Path(spec.place), spec.camera, spec.every)


class Hdf5Frames:
    """All arrays of images in the files, one after the other, without states or actions.

    robomimic's are data/demo_<n>/obs/<camera>, without their copies a frame later in next_obs; ALOHA's
    observations/images/<camera> with a file an episode.

    Args:
        path: a file, or a folder with files at any depth. Arrays (N, H, W, 3) or (N, 3, H, W), RGB, uint8 are images.
        camera: last part of their names; None: all.
        every: stride inside an array.

    Raises:
        ValueError: no such file, no such array, or the package h5py is missing.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, path: Path, camera: str | None = None, every: int = 1):
        _require_h5py(path)
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
        self.path = path
        self.every = every
        self._opened: tuple[int, dict[Path, Any]] | None = None
        found = [(file, *array) for file in files for array in _arrays(file)]
        kept = [(file, name, length) for file, name, length in found if camera in (None, name.rpartition("/")[2])]
        if not kept:
            there = sorted({name.rpartition("/")[2] for _, name, _ in found})
            wanted = f"a camera {camera!r}" if camera else "arrays (N, H, W, 3) uint8"
            raise ValueError(f"images: expected {wanted} in {path}, got {', '.join(there) or 'no images'}")
        self.arrays = [(file, name) for file, name, _ in kept]
        self._ends = np.cumsum([len(range(0, length, every)) for *_, length in kept])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def cameras(self) -> dict[str, np.ndarray]:
        """Last part of an array's name -> the numbers of its frames, file after file."""
        starts, found = [0, *self._ends[:-1]], dict[str, list[np.ndarray]]()
        for (_, name), start, end in zip(self.arrays, starts, self._ends, strict=True):
            found.setdefault(name.rpartition("/")[2], []).append(np.arange(start, end))
        return {camera: np.concatenate(numbers) for camera, numbers in found.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Of the number of frames with the pixels of some."""
        return fingerprint(len(self), lambda index: self.read(index).numpy().tobytes())

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        (file, name), frame = self._locate(index)
        try:
            pixels = np.asarray(self._file(file)[name][frame])
        except (OSError, KeyError, ValueError) as error:
            raise DamagedImage(repr(error)) from error
        if pixels.shape[-1] == 3:
            pixels = pixels.transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(pixels))

    def where(self, index: int) -> str:
        """The place of one frame, for people."""
        (file, name), frame = self._locate(index)
        return f"{file} {name} frame {frame}"

    def _locate(self, index: int) -> tuple[tuple[Path, str], int]:
        array, frame = locate(self._ends, index)
        return self.arrays[array], frame * self.every

    def _file(self, path: Path) -> Any:
        """The open file, of which each process keeps a few: HDF5's state does not survive a fork."""
        import h5py

        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), {})
        files = self._opened[1]
        if path not in files:
            while len(files) >= OPEN_FILES:
                files.pop(next(iter(files))).close()
            files[path] = h5py.File(path, "r")
        return files[path]


def _arrays(path: Path) -> Iterator[tuple[str, int]]:
    """(name, frames) of all images in a file, demo_9 before demo_10."""
    import h5py

    names: list[tuple[str, int]] = []
    elsewhere: list[str] = []

    def collect(name: str, item: Any) -> None:
        images = isinstance(item, h5py.Dataset) and item.dtype == np.uint8 and len(item.shape) == 4
        again = "next_obs" in name.split("/")  # robomimic's copy of obs, a frame later
        if images and not again and item.shape[0] and 3 in (item.shape[1], item.shape[3]):
            names.append((name, item.shape[0]))
            elsewhere.extend([name] if item.external or item.is_virtual else [])

    if not path.is_file():
        raise ValueError(f"images: there is no {path}; give an HDF5 file, or a folder of them")
    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
    except OSError as error:
        raise ValueError(f"images: {path} is no HDF5 file that can be read: {error}") from error
    if elsewhere:
        raise ValueError(f"images: {elsewhere[0]} in {path} takes its bytes from other files; write them into this one")
    yield from sorted(names, key=lambda entry: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", entry[0])])


def _require_h5py(path: Path) -> None:
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise ValueError(f"images: {path} needs the package h5py: pip install 'xdistill-encoder[hdf5]'") from error
