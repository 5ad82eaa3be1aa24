"""Reads the HDF5 files of robomimic and robosuite."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.formats import arrays
from policy_examples.formats.episodes import Episode, Episodes, Selection, camera_keys, option, with_cameras

_PROPRIOCEPTION = ("eef_pos", "eef_quat", "gripper_qpos")
"""What robomimic's own image policies read of each robot."""


def open_robomimic(path: Path, selection: Selection) -> Episodes:
    """data/demo_<i>/obs/<camera>_image and further observations, data/demo_<i>/actions, lists of demos in mask/.

    Without names in the selection every camera is taken, and of each robot the position and the orientation of the
    hand with the gripper's joints; the object's own state, which no camera policy may read, only if it is named.

    Raises:
        ValueError: no such file, a missing name, other shapes or types, damage; h5py is not installed.
    """
    with _opened(path) as file:
        demos = _demos(file, selection.filter, path)
        first = file[f"data/{demos[0]}"]
        if "obs" not in first:
            raise ValueError(
                f"demonstrations: {path} has no data/{demos[0]}/obs; robomimic's dataset_states_to_obs.py renders them."
            )
        names = _arrays(first["obs"])
        cameras = _cameras(names, selection, path)
        states = selection.state or _proprioception(names, first, path)
        lengths = tuple(_length(file, demo, path) for demo in demos)
        task = json.loads(file["data"].attrs.get("env_args", "{}")).get("env_name")

    def read(index: int) -> Episode:
        demo, steps = f"data/{demos[index]}", lengths[index]
        where = f"of {demo} in {path}"
        with _opened(path) as file:

            def observation(name: str) -> np.ndarray:
                return _values(file, f"{demo}/obs/{name}", steps, path)

            episode = {
                key: arrays.as_images(observation(name), None, selection.image_size_px, f"{name} {where}")
                for name, key in cameras.items()
            }
            episode["state"] = arrays.side_by_side(states, observation, where)
            episode["action"] = arrays.side_by_side(
                (selection.action or "actions",), lambda name: _values(file, f"{demo}/{name}", steps, path), where
            )
        return episode

    origin = {
        "format": "robomimic",
        "recorded_task": task,
        "state": list(states),
        "filter": selection.filter,
    }
    return Episodes(lengths, read, with_cameras(origin, cameras))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise ValueError(f"demonstrations: {path} is HDF5, which the package h5py reads: pip install h5py") from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"demonstrations: {path} is no whole HDF5 file ({error}); copy it again.") from error
    with file:
        yield file


def _demos(file: Any, filter_: str | None, path: Path) -> list[str]:
    """Names of the demonstrations, in the order of their numbers."""
    if "observations" in file and "action" in file:
        raise ValueError(
            f"demonstrations: {path} is an episode in the layout of ALOHA, which is not read; make a LeRobotDataset of "
            "its folder, and give that."
        )
    if "data" not in file or not len(file["data"]):
        raise ValueError(
            f"demonstrations: {path} has no groups data/demo_<i>, as robomimic's files have; at its top: "
            f"{', '.join(file)}."
        )
    if filter_ is None:
        return sorted(file["data"], key=_number)
    masks = list(file["mask"]) if "mask" in file else []
    if filter_ not in masks:
        raise ValueError(
            f"filter: {path} has no mask/{filter_}; it has {', '.join(masks) or 'no masks'}; leave the filter out for "
            "all."
        )
    demos = sorted((name.decode() for name in file[f"mask/{filter_}"][:]), key=_number)
    missing = [name for name in demos if name not in file["data"]]
    if missing or not demos:
        raise ValueError(
            f"filter: mask/{filter_} in {path} names {missing or 'no demonstration'}, which is not in data/."
        )
    return demos


def _number(demo: str) -> tuple[int, str]:
    digits = re.search(r"\d+$", demo)
    return (int(digits.group()) if digits else -1, demo)


def _cameras(names: list[str], selection: Selection, path: Path) -> dict[str, str]:
    """Observation that holds a camera's frames -> array of an episode; `agentview` may stand for agentview_image."""
    cameras = [name if name in names else f"{name}_image" for name in selection.cameras]
    cameras = cameras or [name for name in names if name.endswith("_image")]
    missing = [name for name in cameras if name not in names]
    if missing or not cameras:
        raise ValueError(
            f"demonstrations: {path} has no {' and no '.join(missing) or '<camera>_image'} among its observations "
            f"({', '.join(names)}); name those it has ({option('cameras')}), or render cameras with robomimic's "
            "dataset_states_to_obs.py."
        )
    return camera_keys(cameras, short=lambda name: name.removesuffix("_image").replace("/", "_"))


def _proprioception(names: list[str], demo: Any, path: Path) -> tuple[str, ...]:
    robots = sorted({match.group() for name in names if (match := re.match(r"robot\d+", name))})
    taken = [f"{robot}_{part}" for robot in robots for part in _PROPRIOCEPTION if f"{robot}_{part}" in names]
    if not taken:
        vectors = ", ".join(f"{name} {demo['obs'][name].shape}" for name in names if not name.endswith("_image"))
        raise ValueError(
            f"demonstrations: {path} has no robot0_eef_pos, robot0_eef_quat, robot0_gripper_qpos; "
            f"name what it has instead ({option('state')}): {vectors}."
        )
    return tuple(taken)


def _arrays(group: Any) -> list[str]:
    """Names of all arrays in a group and in its groups, such as datagen_info/eef_pose, as other writers nest them."""
    import h5py

    names: list[str] = []
    group.visititems(lambda name, found: names.append(name) if isinstance(found, h5py.Dataset) else None)
    return sorted(names)


def _length(file: Any, demo: str, path: Path) -> int:
    if "actions" not in file[f"data/{demo}"]:
        raise ValueError(f"demonstrations: {path} has no data/{demo}/actions.")
    steps = len(file[f"data/{demo}/actions"])
    if steps == 0:
        raise ValueError(f"demonstrations: data/{demo} in {path} has no steps.")
    return steps


def _values(file: Any, key: str, steps: int, path: Path) -> np.ndarray:
    demo, _, name = key.partition("/obs/")
    group = f"{demo}/obs" if name else demo.rpartition("/")[0]
    there = _arrays(file[group]) if group in file else []
    if key.removeprefix(f"{group}/") not in there:
        raise ValueError(f"demonstrations: {path} has no {key}; {group} holds {', '.join(there) or 'nothing'}.")
    if file[key].external or file[key].is_virtual:
        raise ValueError(f"demonstrations: {key} in {path} takes its bytes from other files; write them into this one.")
    try:
        values = np.asarray(file[key][:])
    except OSError as error:
        raise ValueError(f"demonstrations: {key} in {path} is damaged ({error}); copy the file again.") from error
    if len(values) != steps:
        raise ValueError(f"demonstrations: {key} in {path} has {len(values)} steps, its actions have {steps}.")
    return values
