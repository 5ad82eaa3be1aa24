"""Frames of demonstrations in zarr stores that follow Diffusion Policy, DP3 and UMI."""

import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillation.sources.decoding import DamagedImage
from distillation.sources.fingerprint import fingerprint
from distillation.sources.frame_specs import frames_of_episodes, parse_frame_spec


def open_zarr(source: str) -> "ZarrFrames":
    """ "zarr:<folder or .zarr.zip>[#camera][?every=n]" -> frames; a camera is the name of an array in data/."""
    spec = parse_frame_spec(source)
    return ZarrFrames(Path(spec.place), spec.camera, spec.every)


class ZarrFrames:
    """The images in data/ of a store: all frames of one camera after the other, without states or actions.

    A frame costs the chunk that it lies in: 16 to 160 frames in the stores of the projects above.

    Args:
        path: folder or zip file. Its arrays data/<camera> are (N, H, W, 3) or (N, 3, H, W), RGB, uint8 or float in
            [0, 255]; meta/episode_ends, where it is there, has one past the last frame of each episode.
        camera: name of an array; None: all that have one of these shapes.
        every: stride inside an episode.

    Raises:
        ValueError: no such store or array; another shape, type or range; a compression whose package is missing.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, path: Path, camera: str | None = None, every: int = 1):
        self.path = path
        self._opened: tuple[int, Any] | None = None
        root = self._root()
        self.cameras = _cameras(root, path, camera)
        for key in (*self.cameras, *(("meta/episode_ends",) if "meta/episode_ends" in root else ())):
            if root[key].dtype.kind not in "biuf":  # objects are pickled
                raise ValueError(f"images: {key} in {path} must hold numbers, got {root[key].dtype}")
        counts = {root[key].shape[0] for key in self.cameras}
        if len(counts) != 1:
            raise ValueError(
                f"images: the cameras {', '.join(self.cameras)} in {path} have different lengths: {counts}"
            )
        ends = [int(end) for end in root["meta/episode_ends"][:]] if "meta/episode_ends" in root else [*counts]
        if not ends:
            raise ValueError(f"images: {path} has no episode; its meta/episode_ends is empty")
        self.frames = np.concatenate([np.array(kept, np.int64) for kept in frames_of_episodes(ends, every)])
        for key in self.cameras:
            _require_range(root[key], f"{key} in {path}")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __len__(self) -> int:
        return len(self.cameras) * len(self.frames)

    @cached_property
    def fingerprint(self) -> str:
        """Of the number of frames with the pixels of some."""
        return fingerprint(len(self), lambda index: self.read(index).numpy().tobytes())

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        key, frame = self._locate(index)
        pixels = _pixels(self._root()[key], frame)
        if pixels.dtype != np.uint8:
            pixels = pixels.round().clip(0, 255).astype(np.uint8)
        if pixels.shape[-1] == 3:
            pixels = pixels.transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(pixels))

    def where(self, index: int) -> str:
        """The place of one frame, for people."""
        key, frame = self._locate(index)
        return f"{self.path} {key} frame {frame}"

    def _locate(self, index: int) -> tuple[str, int]:
        camera, position = divmod(index, len(self.frames))
        return self.cameras[camera], int(self.frames[position])

    def _root(self) -> Any:
        """The store, opened by each process for itself: a zip file has a position that a fork would share."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), _open(self.path))
        return self._opened[1]


def _open(path: Path) -> Any:
    import zarr
    from zarr.storage import ZipStore

    if not path.exists():
        raise ValueError(f"images: there is no {path}; give the folder or the zip file of a zarr store")
    _register_codecs()
    try:
        store = ZipStore(path, mode="r") if path.is_file() else str(path)
        return zarr.open_group(store, mode="r")
    except Exception as error:  # zarr has an error of its own for each format
        raise ValueError(f"images: {path} is no zarr group: {error}") from error


def _register_codecs() -> None:
    """Make zarr know the JPEG XL of UMI's stores, where the package that reads it is installed."""
    try:
        from imagecodecs.numcodecs import register_codecs  # type: ignore[import-not-found]
    except ImportError:
        return
    register_codecs(verbose=False)


def _cameras(root: Any, path: Path, camera: str | None) -> list[str]:
    """Keys of the arrays of images that are asked for, in the order of their names."""
    try:
        shapes = {key: array.shape for key, array in sorted(root["data"].arrays())} if "data" in root else {}
    except ValueError as error:  # numcodecs: "codec not available"
        raise ValueError(
            f"images: {path} cannot be read: {error}; the codecs of images, such as UMI's JPEG XL, come with the "
            "package imagecodecs: pip install imagecodecs"
        ) from error
    images = [name for name, shape in shapes.items() if len(shape) == 4 and 3 in (shape[1], shape[3])]
    if (camera is not None and camera not in images) or not images:
        wanted = f"an array data/{camera}" if camera else "arrays in data/"
        there = ", ".join(f"data/{name} {shape}" for name, shape in shapes.items()) or "none"
        raise ValueError(f"images: expected {wanted} of shape (N, H, W, 3) or (N, 3, H, W) in {path}, got {there}")
    return [f"data/{name}" for name in ([camera] if camera else images)]


def _pixels(array: Any, frame: int) -> np.ndarray:
    """One frame as it is stored; raises DamagedImage."""
    try:
        pixels = np.asarray(array[frame])
    except Exception as error:  # the decompressors raise whatever they like on damaged bytes
        raise DamagedImage(repr(error)) from error
    if not np.isfinite(pixels).all():
        raise DamagedImage("values that are not finite")
    return pixels


def _require_range(array: Any, name: str) -> None:
    """Raise a ValueError unless an array is of uint8, or of floats that fill [0, 255] in some frames."""
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ValueError(f"images: expected uint8 or float in [0, 255] as {name}, got {array.dtype}")
    if array.dtype == np.uint8:
        return
    values = [0.0]
    for frame in range(0, array.shape[0], max(1, array.shape[0] // 8)):
        with suppress(DamagedImage):
            pixels = _pixels(array, frame)
            values += [float(pixels.min()), float(pixels.max())]
    if min(values) < 0 or not 1 < max(values) < 256:
        raise ValueError(
            f"images: expected values in [0, 255] as {name}, got {min(values):.3g} to {max(values):.3g}; scale them"
        )
