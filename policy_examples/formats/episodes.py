"""What every format gives: episodes that are read one at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    """robomimic: a list of demonstrations under mask/, such as train; LeRobot: a task in words."""
    skip_episodes: tuple[int, ...] = ()
    """Numbers of episodes to leave out, such as one that was stopped at once; the first that the filter leaves is 0."""
    image_size_px: int | tuple[int, int] | None = None
    """Size to which frames are resized: one number for squares, whatever their aspect, or height and width, such as
    `112 149` for frames of 480 x 640; None keeps them. All that is taken lies in memory while a policy learns, 0.9 MB a
    frame of 480 x 640."""

    def __post_init__(self) -> None:
        sides = self.image_size_px if isinstance(self.image_size_px, tuple) else (self.image_size_px,)
        if any(side is not None and side < 1 for side in sides):
            raise ValueError(f"image_size_px: expected 1 px or more, got {self.image_size_px}.")


def with_selection(origin: dict[str, Any], selection: Selection) -> dict[str, Any]:
    """The origin with the state and the action that people named; what a data set says of earlier choices stays."""
    named: dict[str, Any] = {"state": list(selection.state)} if selection.state else {}
    named |= {"action": selection.action} if selection.action else {}
    return {**origin, "selection": {**origin.get("selection", {}), **named}} if named else origin


def with_cameras(origin: dict[str, Any], cameras: Mapping[str, str]) -> dict[str, Any]:
    """The origin with what people call each camera, {array of an episode: name}, where that is not what we call it.

    Args:
        origin: of the data set; one of ours says what its arrays were called where they came from.
        cameras: {array there: array of an episode}, as `camera_keys` gives it.
    """
    called = origin.get("cameras", {})
    names = {key: called.get(name, name) for name, key in cameras.items()}
    rest = {name: value for name, value in origin.items() if name != "cameras"}
    return rest if all(key == name for key, name in names.items()) else {**rest, "cameras": names}


def camera_names(origin: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """{observation key, "image" or "image_<name>": what the data set calls this camera}."""
    arrays = {key: key.replace("image", "img", 1) for key in keys}
    called = {array: name for array, name in origin.get("cameras", {}).items() if name != array}
    return {key: called.get(array, key) for key, array in arrays.items()}


def named_keys(origin: Mapping[str, Any], keys: Iterable[str]) -> str:
    """The same for people: "image (front), image_wrist"."""
    names = camera_names(origin, keys)
    return ", ".join(key if name == key else f"{key} ({name})" for key, name in names.items())


def require_rate(fps: Any, where: str) -> None:
    """Raise a ValueError where steps a second are no number above 0; None, which says nothing, is fine."""
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps < float("inf")):
        raise ValueError(f"fps: expected a number above 0, got {fps!r} in {where}.")


def require_same_order(learned: Mapping[str, Any], shown: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raise a ValueError where a policy would take one camera, or one number of a state or an action, for another.

    Names that only one of the two has say nothing: another data set may call the same things otherwise.

    Args:
        learned, shown: origins of what the policy learned from and of what it is shown.
        keys: of the cameras that it reads.
    """
    names = {"cameras": [list(camera_names(origin, keys).values()) for origin in (learned, shown)]}
    names |= {name: [origin.get(name) or [] for origin in (learned, shown)] for name in ("state_names", "action_names")}
    for what, (before, now) in names.items():
        there = {*now, *(shown.get("cameras", {}).values() if what == "cameras" else ())}
        moved = [name for name, other in zip(before, now, strict=False) if name != other and name in there]
        if moved:
            raise ValueError(
                f"demos: the policy learned the {what} {', '.join(before)}, in this order, these have "
                f"{', '.join(now)}; name them in the policy's order with --selection."
            )


def without(episodes: Episodes, skipped: Sequence[int]) -> Episodes:
    """All but the episodes of these numbers.

    Raises:
        ValueError: there is no such episode, or none is left.
    """
    count = len(episodes.lengths)
    strangers = sorted(set(skipped) - set(range(count)))
    kept = [number for number in range(count) if number not in skipped]
    if strangers or not kept:
        raise ValueError(
            f"skip_episodes: expected some of 0 to {count - 1}, and not all, got {', '.join(map(str, skipped))}."
        )
    origin, seeds = dict(episodes.origin), episodes.origin.get("seeds", [])
    if len(seeds) == count:  # one an episode
        origin["seeds"] = [seeds[number] for number in kept]
    lengths = tuple(episodes.lengths[number] for number in kept)
    return Episodes(lengths, lambda index: episodes.read(kept[index]), origin)


def option(name: str) -> str:
    """A field of `Selection` as the command lines call it."""
    return f"--{name} of xdistill convert, --selection.{name} of xdistill finetune"


def camera_keys(cameras: Sequence[str], short: Callable[[str], str] = str) -> dict[str, str]:
    """Name of each camera, main one first -> the array of an episode that holds it, "img" or "img_<short name>".

    Raises:
        ValueError: two have one short name.
    """
    owners: dict[str, str] = {}
    for camera in cameras:
        name = short(camera).removeprefix("img_")
        if name in owners:
            raise ValueError(
                f"demonstrations: the cameras {owners[name]} and {camera} would both be called {name!r}; "
                f"name those to take, only one of the two ({option('cameras')})."
            )
        owners[name] = camera
    first, *others = owners
    return {owners[first]: "img", **{owners[name]: f"img_{name}" for name in others}}


def with_image_size(origin: dict[str, Any], frame: Sequence[int]) -> dict[str, Any]:
    """The origin with the size of the main camera's frames, (H, W, 3), as they are; without one if they are no squares.

    Where they were resized, "rendered_px" is the size at which they came from the simulator.
    """
    height, width, _ = frame
    before = origin.get("image_size_px")
    facts = {name: value for name, value in origin.items() if name != "image_size_px"}
    if height != width:
        return facts
    if before not in (None, height):
        facts = {"rendered_px": before, **facts}  # the first size, if they were resized before
    return {**facts, "image_size_px": height}


def each_episode(episodes: Episodes) -> Iterator[tuple[slice, Episode]]:
    """One episode after the other, with the rows that it has where all lie end to end.

    Raises:
        ValueError: an episode cannot be read, its arrays are not those of the first one, or have other lengths.
    """
    row, first = 0, {}
    for index, length in enumerate(episodes.lengths):
        episode = episodes.read(index)
        shapes = {name: values.shape[1:] for name, values in episode.items()}
        first = first or shapes
        if shapes != first:
            raise ValueError(f"demonstrations: episode {index} has arrays of shapes {shapes}, the first has {first}.")
        others = {name: len(values) for name, values in episode.items() if len(values) != length}
        if others:
            raise ValueError(
                f"demonstrations: episode {index} has {length} steps, its arrays of other lengths {others}."
            )
        yield slice(row, row + length), episode
        row += length
