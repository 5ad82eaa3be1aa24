"""Keeps demonstrations in a zarr store with the layout that Diffusion Policy and DP3 read."""

import shutil
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_ARRAYS = {
    "images": "data/img",
    "agent_pos": "data/state",
    "actions": "data/action",
    "episode_ends": "meta/episode_ends",
}


@dataclass(frozen=True)
class Demonstrations:
    """Episodes end to end, N steps in all; row i of `actions` was taken on what row i of the others shows."""

    images: np.ndarray
    """(N, H, W, 3) uint8, RGB; upright where `origin` names MetaWorld."""
    agent_pos: np.ndarray
    """(N, P) float32."""
    actions: np.ndarray
    """(N, A) float32."""
    episode_ends: np.ndarray
    """(E,) int64: one past the last row of each episode."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Where they come from: env, task, render, image_size_px, seeds (one an episode). Empty for other people's."""


def save_demonstrations(demonstrations: Demonstrations, path: Path) -> None:
    """Write the store in zarr format 2, complete or not at all.

    Raises:
        ValueError: the path is taken.
    """
    import zarr

    require_free(path)
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    root = zarr.open_group(str(partial), mode="w", zarr_format=2)
    checksums = {}
    for name, key in _ARRAYS.items():
        values = getattr(demonstrations, name)
        rows = min(len(values), 32 if name == "images" else 4096)
        root.create_array(key, data=values, chunks=(rows, *values.shape[1:]))
        checksums[key] = _checksum(values)
    root.attrs.update({"origin": demonstrations.origin, "crc32": checksums})
    partial.rename(path)


def require_free(path: Path) -> None:
    """Raise a ValueError where the path already exists."""
    if path.exists():
        raise ValueError(f"output: {path} exists already; delete it or name another path.")


def load_demonstrations(path: Path) -> Demonstrations:
    """Read a store in this layout, with uint8 images; DP3's MetaWorld stores hold mirrored ones (see README).

    Raises:
        ValueError: no store there, an array is missing, damaged, or of another shape or type.
    """
    import zarr

    try:
        root = zarr.open_group(str(path), mode="r")
    except (OSError, ValueError, KeyError) as error:  # zarr has an error of its own for each format
        raise ValueError(
            f"demonstrations: {path} is not a zarr group ({error}); `xdistill demos` writes one."
        ) from error
    checksums: Any = root.attrs.get("crc32", {})
    arrays = {name: _read(root, path, key, checksums.get(key)) for name, key in _ARRAYS.items()}
    demonstrations = Demonstrations(**arrays, origin=dict(root.attrs.get("origin", {})))  # type: ignore[arg-type]
    _check(demonstrations, path)
    return demonstrations


def _read(root: Any, path: Path, key: str, checksum: int | None) -> np.ndarray:
    import zarr

    if key not in root or not isinstance(root[key], zarr.Array):
        raise ValueError(
            f"demonstrations: {path} has no array {key!r}; the layout of Diffusion Policy and DP3 is "
            f"{', '.join(_ARRAYS.values())}."
        )
    try:
        values = np.asarray(root[key][:])
    except Exception as error:  # the decompressors raise whatever they like on damaged bytes
        raise ValueError(f"demonstrations: {key} in {path} is damaged ({error!r}); collect them again.") from error
    if checksum is not None and checksum != _checksum(values):
        raise ValueError(
            f"demonstrations: {key} in {path} is damaged: its CRC-32 is {_checksum(values)}, {checksum} was written; "
            "collect them again."
        )
    return values


def _check(demonstrations: Demonstrations, path: Path) -> None:
    images, ends = demonstrations.images, demonstrations.episode_ends
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            f"demonstrations: data/img in {path} must be (N, H, W, 3) uint8, got {images.shape} {images.dtype}."
        )
    steps = {key: len(getattr(demonstrations, name)) for name, key in _ARRAYS.items() if name != "episode_ends"}
    if len(set(steps.values())) != 1:
        raise ValueError(f"demonstrations: {path} has arrays of different lengths: {steps}.")
    if len(ends) == 0 or ends[-1] != len(images) or np.any(np.diff(ends, prepend=0) <= 0):
        raise ValueError(
            f"demonstrations: meta/episode_ends in {path} must rise to the number of steps, {len(images)}, "
            f"got {ends.tolist()}."
        )
    for name in ("agent_pos", "actions"):
        values = getattr(demonstrations, name)
        if values.ndim != 2 or not np.isfinite(values).all():
            raise ValueError(
                f"demonstrations: {_ARRAYS[name]} in {path} must be (N, D) finite numbers, got shape {values.shape}"
                f" with {int((~np.isfinite(values)).sum())} others."
            )


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data)
