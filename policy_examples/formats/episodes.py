"""What every format gives: episodes that are read one at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Episode = dict[str, np.ndarray]
"""Arrays of L steps: "img" (L, H, W, 3) uint8 RGB, "state" (L, P) float32, "action" (L, A) float32; where there are
any, further cameras "img_<name>" and "point_cloud" (L, N, 3) float32. These are the names in a zarr store's data/."""


@dataclass(frozen=True)
class Episodes:
    """Demonstrations somewhere on a disk."""

    lengths: tuple[int, ...]
    """Steps of each episode."""
    read: Callable[[int], Episode]
    """The i-th episode; all have the same arrays, of the same shapes but for L."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Where they come from, as JSON."""


@dataclass(frozen=True)
class Selection:
    """What to take of a data set; the defaults take what its format names plainly, all of ours."""

    cameras: tuple[str, ...] = ()
    """Names of cameras as the data set calls them; the first is the main one. None named: those that can be guessed."""
    state: tuple[str, ...] = ()
    """Names of the arrays that make agent_pos, side by side; `NAME[2:5]` takes columns. None named: as for cameras."""
    action: str | None = None
    """Name of the actions, columns as above."""
    filter: str | None = None
    """robomimic: a list of demonstrations under mask/, such as train."""
    image_size_px: int | None = None
    """Height and width to which frames are resized, whatever their aspect; None keeps them."""


def camera_keys(cameras: list[str]) -> dict[str, str]:
    """Short name of each camera, main one first -> the array of an episode that holds it, "img" or "img_<name>"."""
    first, *others = cameras
    return {first: "img", **{name: f"img_{name.removeprefix('img_')}" for name in others}}


def each_episode(episodes: Episodes) -> Iterator[tuple[slice, Episode]]:
    """One episode after the other, with the rows that it has where all lie end to end.

    Raises:
        ValueError: an episode cannot be read, or its arrays are not those of the first one.
    """
    row, first = 0, {}
    for index, length in enumerate(episodes.lengths):
        episode = episodes.read(index)
        shapes = {name: values.shape[1:] for name, values in episode.items()}
        first = first or shapes
        if shapes != first:
            raise ValueError(f"demonstrations: episode {index} has arrays of shapes {shapes}, the first has {first}.")
        yield slice(row, row + length), episode
        row += length
