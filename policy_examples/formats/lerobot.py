"""Reads LeRobotDataset folders of format 2 and 3."""

import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.formats import arrays
from policy_examples.formats.episodes import (
    Episode,
    Episodes,
    Selection,
    camera_keys,
    option,
    require_rate,
    with_cameras,
)
from policy_examples.formats.lerobot_rows import Rows
from policy_examples.formats.lerobot_tasks import choose_episodes, episode_tasks
from policy_examples.formats.lerobot_video import VideoPart, read_frames, require_av

ORIGIN = "meta/xdistill_origin.json"
"""Where demonstrations of ours come from; LeRobot does not read it."""
VECTORS = ("state", "action")
MAIN_CAMERA = "observation.image"
"""As we write it."""
_STATE, _ACTION, _CAMERA = "observation.state", "action", "observation.images."


def open_lerobot(root: Path, selection: Selection) -> Episodes:
    """A folder with meta/info.json, rows of all episodes in data/, frames in the rows or in videos/.

    Without names in the selection every colour camera, observation.state and action are taken, of the only task.

    Raises:
        ValueError: another format, a missing name or file, several tasks and none named, other shapes or types, damage;
            PyAV is not installed.
    """
    info = _info(root)
    table = _episodes(root, info)
    chosen, task = choose_episodes(episode_tasks(root, info, table), selection.filter, root)
    features: dict[str, Any] = info["features"]
    cameras = _cameras(features, selection, root)
    states = selection.state or (_STATE,)
    actions = (selection.action or _ACTION,)
    vectors = [arrays.split_columns(name)[0] for name in (*states, *actions)]
    _require_vectors(features, vectors, root)
    videos = [camera for camera in cameras if features[camera]["dtype"] == "video"]
    if videos:
        require_av(root)
    rows = Rows(
        root, [row["length"] for row in table], [*vectors, *(camera for camera in cameras if camera not in videos)]
    )

    def read(index: int) -> Episode:
        number = chosen[index]
        columns, where = rows.read(number), f"of episode {number} in {root}"

        def frames(camera: str) -> np.ndarray:
            if camera not in videos:
                return _decode(columns[camera], selection.image_size_px, f"{camera} {where}")
            part = _video_part(root, info, table[number], camera)
            return read_frames(part, info["fps"], partial(_fit, size_px=selection.image_size_px))

        def numbers(name: str) -> np.ndarray:
            return _numbers(columns[name], f"{name} {where}")

        episode = {key: frames(camera) for camera, key in cameras.items()}
        episode["state"] = arrays.side_by_side(states, numbers, where)
        episode["action"] = arrays.side_by_side(actions, numbers, where)
        return episode

    lengths = tuple(table[number]["length"] for number in chosen)
    said = {"fps": info["fps"], "robot_type": info.get("robot_type")}
    said |= {"state_names": _names(features, states), "action_names": _names(features, actions)}
    earlier = {name: value for name, value in _origin(root, cameras, task).items() if name not in said}
    known = {name: value for name, value in said.items() if value is not None}
    return Episodes(lengths, read, earlier | known)


def _origin(root: Path, cameras: dict[str, str], task: str | None) -> dict[str, Any]:
    """What we wrote there ourselves, where that is so; in any case the task, if anything names it, and its words."""
    ours = root / ORIGIN
    if ours.is_file():
        origin = json.loads(ours.read_text())
        cameras = {"img" if name == MAIN_CAMERA else f"img_{_short(name)}": key for name, key in cameras.items()}
    else:
        origin = {"format": "lerobot"}
    origin = with_cameras(origin, cameras)
    if task is None:
        return origin
    origin["instruction"] = task
    return origin if "task" in origin else {"recorded_task": task, **origin}


def made_up_names(kind: str, count: int) -> list[str]:
    """What we call the numbers of a "state" or an "action" that nobody has named."""
    return [f"{kind}_{number}" for number in range(count)]


def _names(features: dict[str, Any], parts: Sequence[str]) -> list[str] | None:
    """What each number of these vectors is called; None where some have no names."""
    names: list[str] = []
    for part in parts:
        feature, columns = arrays.split_columns(part)
        found: Any = features[feature].get("names")
        if isinstance(found, dict) and len(found) == 1:  # {"motors": [...]}
            (found,) = found.values()
        if not isinstance(found, list) or [len(found)] != list(features[feature]["shape"]):
            return None
        names += map(str, found[columns])
    generated = (made_up_names(kind, len(names)) for kind in VECTORS)
    return None if names in generated else names


def _info(root: Path) -> dict[str, Any]:
    path = root / "meta" / "info.json"
    try:
        info = json.loads(path.read_text())
        version, _, _ = str(info["codebase_version"]), info["features"], info["fps"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"demonstrations: {path} is not what a LeRobotDataset has there ({error!r}); copy the folder again."
        ) from error
    require_rate(info["fps"], str(path))
    if not version.startswith(("v2.", "v3.")):
        raise ValueError(
            f"demonstrations: {root} is a LeRobotDataset of format {version}; v2 and v3 are read, lerobot converts "
            "others."
        )
    return info


def _episodes(root: Path, info: dict[str, Any]) -> list[dict[str, Any]]:
    """Facts of each episode, in their order: its length, its tasks and, in format 3, where its videos lie."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if info["codebase_version"].startswith("v2."):
            lines = (root / "meta" / "episodes.jsonl").read_text().splitlines()
            table = [json.loads(line) for line in lines if line.strip()]
        else:
            files = sorted((root / "meta" / "episodes").rglob("*.parquet"))
            names = ["episode_index", "length"]
            names += [name for name in pq.read_schema(files[0]).names if name == "tasks" or name.startswith("videos/")]
            table = [row for file in files for row in pq.read_table(file, columns=names).to_pylist()]
        table.sort(key=lambda row: row["episode_index"])
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException) as error:
        raise ValueError(
            f"demonstrations: the list of episodes in {root / 'meta'} is missing or damaged ({error!r}); copy it again."
        ) from error
    if [row["episode_index"] for row in table] != list(range(len(table))) or not table:
        raise ValueError(f"demonstrations: {root / 'meta'} does not list episodes 0 to {len(table) - 1}, each once.")
    return table


def _cameras(features: dict[str, Any], selection: Selection, root: Path) -> dict[str, str]:
    """Feature of each camera -> array of an episode; `wrist` may stand for observation.images.wrist."""
    there = [name for name, feature in features.items() if feature["dtype"] in ("image", "video")]
    chosen = [name if name in there else _CAMERA + name for name in selection.cameras]
    chosen = chosen or [name for name in there if not _is_depth(features[name])]
    missing = [name for name in chosen if name not in there]
    if missing or not chosen:
        raise ValueError(
            f"demonstrations: {root} has no {' and no '.join(missing) or 'camera'} ({option('cameras')}); its cameras: "
            f"{', '.join(there) or 'none'}."
        )
    return camera_keys(chosen, short=_short)


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _is_depth(feature: dict[str, Any]) -> bool:
    return bool((feature.get("info") or feature.get("video_info") or {}).get("video.is_depth_map"))


def _require_vectors(features: dict[str, Any], names: list[str], root: Path) -> None:
    vectors = [name for name, feature in features.items() if feature["dtype"] not in ("image", "video", "string")]
    missing = [name for name in names if name not in vectors]
    if missing:
        raise ValueError(
            f"demonstrations: {root} has no {' and no '.join(missing)}; name what it has instead "
            f"({option('state')}; {option('action')}): {', '.join(vectors)}."
        )


def _video_part(root: Path, info: dict[str, Any], row: dict[str, Any], camera: str) -> VideoPart:
    """A file of its own for each episode in format 2, a part of a file in format 3."""
    number = row["episode_index"]
    if info["codebase_version"].startswith("v2."):
        names = {"episode_chunk": number // info["chunks_size"], "episode_index": number}
        return VideoPart(root / info["video_path"].format(video_key=camera, **names), 0.0, row["length"])
    names = {name: row[f"videos/{camera}/{name}"] for name in ("chunk_index", "file_index")}
    path = root / info["video_path"].format(video_key=camera, **names)
    return VideoPart(path, row[f"videos/{camera}/from_timestamp"], row["length"])


def _numbers(column: Any, where: str) -> np.ndarray:
    values = column.to_pylist()
    try:
        return np.array(values, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError(f"demonstrations: {where} must be (N, D) numbers ({error}).") from error


def _decode(column: Any, size_px: int | tuple[int, int] | None, where: str) -> np.ndarray:
    """Encoded images, {"bytes", "path"} each -> (L, H, W, 3) uint8."""
    from PIL import Image

    frames = []
    for number, cell in enumerate(column):
        encoded = cell.as_py()["bytes"]
        try:
            frames.append(_fit(np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")), size_px))
        except (OSError, TypeError) as error:
            raise ValueError(
                f"demonstrations: frame {number} of {where} is missing or damaged ({error}); copy the folder again."
            ) from error
    return _stack(frames, where)


def _stack(frames: Sequence[np.ndarray], where: str) -> np.ndarray:
    shapes = {frame.shape for frame in frames}
    if len(shapes) != 1:
        raise ValueError(f"demonstrations: {where} has frames of different shapes: {sorted(shapes)}.")
    return np.stack(frames)


def _fit(frame: np.ndarray, size_px: int | tuple[int, int] | None) -> np.ndarray:
    """(H, W, 3) -> the size asked for, frame by frame, so that a long episode is never held at full size."""
    return frame if size_px is None else arrays.resize(frame[None], size_px)[0]
