"""Keeps demonstrations in a zarr store with the layout that Diffusion Policy and DP3 read."""

import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.formats.arrays import as_images, as_points, as_vectors
from policy_examples.formats.episodes import Episode, Episodes, Selection, each_episode, with_image_size
from policy_examples.formats.opening import open_episodes

_IMAGE_ROWS, _ROWS = 32, 4096
"""Steps in a chunk of images, in a chunk of anything else."""


@dataclass(frozen=True)
class Demonstrations:
    """Episodes end to end, N steps in all; row i of `actions` was taken on what row i of the others shows."""

    images: np.ndarray
    """(N, H, W, 3) uint8, RGB; upright where `origin` names MetaWorld or Adroit."""
    agent_pos: np.ndarray
    """(N, P) float32."""
    actions: np.ndarray
    """(N, A) float32."""
    episode_ends: np.ndarray
    """(E,) int64: one past the last row of each episode."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Where they come from: env, task, render, seeds (one an episode); without these they are other people's.

    image_size_px is the size of square `images` in any case, once they were written or read."""
    point_clouds: np.ndarray | None = None
    """(N, points, 3) float32, metres."""
    cameras: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Further cameras, (N, H, W, 3) uint8 each."""


def save_demonstrations(demonstrations: Demonstrations, path: Path) -> None:
    """Write the store in zarr format 2, complete or not at all.

    Raises:
        ValueError: the path is taken; an array has another type, shape or number of rows, or is not finite.
    """
    steps = rows_of(demonstrations)
    ends = np.asarray(demonstrations.episode_ends).tolist()
    starts = [0, *ends[:-1]]

    def read(index: int) -> Episode:
        return {name: values[starts[index] : ends[index]] for name, values in steps.items()}

    lengths = tuple(end - start for start, end in zip(starts, ends, strict=True))
    write_zarr(Episodes(lengths, read, demonstrations.origin), path)


def rows_of(demonstrations: Demonstrations) -> dict[str, np.ndarray]:
    """The arrays under the names of a store, of the types that it has.

    Raises:
        ValueError: as `save_demonstrations`.
    """
    ends = np.asarray(demonstrations.episode_ends)
    if ends.ndim != 1 or ends.dtype.kind not in "iu" or not (len(ends) and (np.diff(ends, prepend=0) > 0).all()):
        raise ValueError(f"episode_ends: expected whole numbers that rise from above 0, (E,), got {ends.tolist()}.")
    if strange := [name for name in demonstrations.cameras if not name or "/" in name]:
        raise ValueError(f"cameras: expected names without '/', got {strange[0]!r}.")
    cameras = {f"img_{name}": images for name, images in demonstrations.cameras.items()}
    named = {
        "img": as_images(np.asarray(demonstrations.images), None, None, "images"),
        "state": as_vectors(np.asarray(demonstrations.agent_pos), slice(None), "agent_pos"),
        "action": as_vectors(np.asarray(demonstrations.actions), slice(None), "actions"),
        **{name: as_images(np.asarray(images), None, None, name) for name, images in cameras.items()},
    }
    if demonstrations.point_clouds is not None:
        named["point_cloud"] = as_points(np.asarray(demonstrations.point_clouds), "point_clouds")
    for name, values in named.items():
        if len(values) != ends[-1]:
            raise ValueError(f"{name}: expected {ends[-1]} rows, where the last episode ends, got {len(values)}.")
    for numbers, name in (("state", "state_names"), ("action", "action_names")):
        names, width = demonstrations.origin.get(name), named[numbers].shape[1]
        if names is not None and len(names) != width:
            raise ValueError(f"{name}: expected names of {width} numbers in the origin, got {len(names)}.")
    return named


def write_zarr(episodes: Episodes, path: Path) -> None:
    """Write the store episode by episode, in zarr format 2, complete or not at all.

    Raises:
        ValueError: the path is taken, or an episode cannot be read.
    """
    import zarr

    require_free(path)
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    root = zarr.open_group(str(partial), mode="w", zarr_format=2)
    checksums: dict[str, int] = {}
    arrays: dict[str, Any] = {}
    steps = sum(episodes.lengths)
    for taken, episode in each_episode(episodes):
        for name, values in episode.items():
            key = f"data/{name}"
            if key not in arrays:
                rows = min(steps, _IMAGE_ROWS if name.startswith("img") else _ROWS)
                arrays[key] = root.create_array(
                    key, shape=(steps, *values.shape[1:]), dtype=values.dtype, chunks=(rows, *values.shape[1:])
                )
            arrays[key][taken] = values
            checksums[key] = zlib.crc32(np.ascontiguousarray(values).data, checksums.get(key, 0))
    ends = np.cumsum(episodes.lengths, dtype=np.int64)
    root.create_array("meta/episode_ends", data=ends)
    checksums["meta/episode_ends"] = zlib.crc32(ends.data)
    origin = with_image_size(episodes.origin, arrays["data/img"].shape[1:])
    root.attrs.update({"origin": origin, "crc32": checksums})
    partial.rename(path)


def require_free(path: Path) -> None:
    """Raise a ValueError where the path already exists."""
    if path.exists():
        raise ValueError(f"output: {path} exists already; delete it or name another path.")


def open_demonstrations(path: Path, selection: Selection | None = None) -> Demonstrations:
    """Read what `xdistill demos` wrote, or a data set of Diffusion Policy, DP3, robomimic or LeRobot, all into memory.

    Args:
        selection: which of its cameras and arrays; None takes what the format names plainly.

    Raises:
        ValueError: nothing there, another format, damage, or arrays that must be named.
    """
    return gather(open_episodes(path, selection or Selection()))


def gather(episodes: Episodes) -> Demonstrations:
    """All episodes in memory, each read once."""
    steps = sum(episodes.lengths)
    arrays: Episode = {}
    for taken, episode in each_episode(episodes):
        for name, values in episode.items():
            if name not in arrays:
                arrays[name] = np.empty((steps, *values.shape[1:]), values.dtype)
            arrays[name][taken] = values
    images, origin = arrays.pop("img"), dict(episodes.origin)
    if "point_cloud" in arrays:
        origin["points"] = arrays["point_cloud"].shape[1]
    return Demonstrations(
        images=images,
        agent_pos=arrays.pop("state"),
        actions=arrays.pop("action"),
        episode_ends=np.cumsum(episodes.lengths, dtype=np.int64),
        origin=with_image_size(origin, images.shape[1:]),
        point_clouds=arrays.pop("point_cloud", None),
        cameras={name.removeprefix("img_"): images for name, images in arrays.items()},
    )
