"""Writes a LeRobotDataset of format 3, from which every LeRobot policy learns."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.formats.episodes import Episode, Episodes, each_episode, with_image_size
from policy_examples.formats.lerobot import MAIN_CAMERA, ORIGIN, made_up_names
from policy_examples.formats.lerobot_stats import Stats, histogram, image_stats, vector_stats
from policy_examples.store import require_free

FILE_BYTES = 100 * 1024**2
"""LeRobot's own limit of a file of rows."""
_FILES_PER_CHUNK = 1000
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_COUNTERS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64"}


def write_lerobot(episodes: Episodes, path: Path, fps: int, instruction: str) -> None:
    """Write the folder episode by episode, complete or not at all; frames are PNG inside the rows, so nothing is lost.

    The main camera is observation.image, others observation.images.<name>, agent_pos observation.state. Point clouds
    are left out: the format has no feature that a policy of LeRobot would read them from.

    Args:
        fps: steps a second, which LeRobot counts time by.
        instruction: the task in words, for policies that read language.

    Raises:
        ValueError: the path is taken, or an episode cannot be read.
    """
    require_free(path)
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    writer, table, totals = _RowWriter(partial), [], _Totals()
    features: dict[str, Any] = {}
    for index, (rows, episode) in enumerate(each_episode(episodes)):
        named = {_feature_name(name): values for name, values in episode.items() if name != "point_cloud"}
        features = features or _features(named, episodes.origin)
        steps = np.arange(rows.stop - rows.start)
        counters = {
            "timestamp": (steps / fps).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full_like(steps, index),
            "index": steps + rows.start,
            "task_index": np.zeros_like(steps),
        }
        facts = {"episode_index": index, "tasks": [instruction], "length": len(steps)}
        facts |= {"dataset_from_index": rows.start, "dataset_to_index": rows.stop}
        facts |= writer.write(named, counters)
        facts |= _flat(totals.add({**named, **counters}))
        table.append(facts)
    writer.close()
    _write_meta(partial, _info(episodes, features, fps), totals.stats(), table, instruction)
    origin = with_image_size(episodes.origin, features[MAIN_CAMERA]["shape"])
    (partial / ORIGIN).write_text(json.dumps(origin, indent=4))
    partial.rename(path)


def _feature_name(name: str) -> str:
    names = {"img": MAIN_CAMERA, "state": "observation.state", "action": "action"}
    return names.get(name) or "observation.images." + name.removeprefix("img_")


def _features(named: Episode, origin: dict[str, Any]) -> dict[str, Any]:
    """What meta/info.json says of each column; numbers that had names keep them."""
    features: dict[str, Any] = {}
    for name, values in named.items():
        if _is_image(name):
            features[name] = {"dtype": "image", "shape": values.shape[1:], "names": ["height", "width", "channels"]}
        else:
            kind = name.rpartition(".")[2]
            names = origin.get(f"{kind}_names") or []
            if len(names) != values.shape[1]:
                names = made_up_names(kind, values.shape[1])
            features[name] = {"dtype": "float32", "shape": values.shape[1:], "names": names}
    counters = {**_COUNTERS, "task_index": "int64"}
    return features | {name: {"dtype": kind, "shape": (1,), "names": None} for name, kind in counters.items()}


def _is_image(name: str) -> bool:
    return name.startswith("observation.image")


def _flat(stats: dict[str, Stats]) -> dict[str, Any]:
    return {f"stats/{name}/{kind}": value for name, kinds in stats.items() for kind, value in kinds.items()}


class _RowWriter:
    """Rows in files of at most `FILE_BYTES`, one row group an episode."""

    def __init__(self, root: Path) -> None:
        self._root, self._bytes, self._file_index = root, 0, -1
        self._writer: Any = None

    def write(self, named: Episode, counters: Episode) -> dict[str, int]:
        """Append an episode; returns where it lies."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        cameras = [name for name in named if _is_image(name)]
        columns = {name: _images(values) if name in cameras else _vectors(values) for name, values in named.items()}
        table = pa.table(columns | {name: pa.array(values) for name, values in counters.items()})
        viewer = {"info": {"features": {name: {"_type": "Image"} for name in cameras}}}  # for the library `datasets`
        table = table.replace_schema_metadata({"huggingface": json.dumps(viewer)})
        full = self._file_index < 0 or self._bytes + table.nbytes > FILE_BYTES
        self._file_index += full
        chunk_index, file_index = divmod(self._file_index, _FILES_PER_CHUNK)
        if full:
            self.close()
            self._bytes = 0
            path = self._root / _DATA.format(chunk_index=chunk_index, file_index=file_index)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema)
        self._writer.write_table(table)
        self._bytes += table.nbytes
        return {"data/chunk_index": chunk_index, "data/file_index": file_index}

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _images(values: np.ndarray) -> Any:
    import pyarrow as pa
    from PIL import Image

    cells = []
    for number, frame in enumerate(values):
        encoded = io.BytesIO()
        Image.fromarray(frame).save(encoded, format="PNG")
        cells.append({"bytes": encoded.getvalue(), "path": f"frame-{number:06d}.png"})
    return pa.array(cells, type=pa.struct({"bytes": pa.binary(), "path": pa.string()}))


def _vectors(values: np.ndarray) -> Any:
    """(L, D) as lists of D; a single dimension as plain numbers, which is how LeRobot stores it."""
    import pyarrow as pa

    flat = pa.array(values.ravel())
    return flat if values.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


class _Totals:
    """Statistics of each episode, and of all."""

    def __init__(self) -> None:
        self._vectors: dict[str, list[np.ndarray]] = {}
        self._histograms: dict[str, np.ndarray] = {}
        self._frames = 0

    def add(self, columns: Episode) -> dict[str, Stats]:
        """Take an episode in; returns its own statistics."""
        frames, stats = len(columns["index"]), {}
        self._frames += frames
        for name, values in columns.items():
            if _is_image(name):
                counts = histogram(values)
                self._histograms[name] = self._histograms.get(name, 0) + counts
                stats[name] = image_stats(counts, frames)
            else:
                rows = values.reshape(frames, -1)
                self._vectors.setdefault(name, []).append(rows)
                stats[name] = vector_stats(rows)
        return stats

    def stats(self) -> dict[str, Stats]:
        """Of all episodes."""
        images = {name: image_stats(counts, self._frames) for name, counts in self._histograms.items()}
        return images | {name: vector_stats(np.concatenate(parts)) for name, parts in self._vectors.items()}


def _info(episodes: Episodes, features: dict[str, Any], fps: int) -> dict[str, Any]:
    return {
        "codebase_version": "v3.0",
        "robot_type": episodes.origin.get("robot_type") or episodes.origin.get("env"),
        "total_episodes": len(episodes.lengths),
        "total_frames": sum(episodes.lengths),
        "total_tasks": 1,
        "chunks_size": _FILES_PER_CHUNK,
        "data_files_size_in_mb": FILE_BYTES // 1024**2,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{len(episodes.lengths)}"},
        "data_path": _DATA,
        "video_path": None,
        "features": features,
    }


def _write_meta(
    root: Path, info: dict[str, Any], stats: dict[str, Stats], table: list[dict[str, Any]], instruction: str
) -> None:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    episodes = root / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    episodes.parent.mkdir(parents=True)
    itself = {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}
    pq.write_table(pa.Table.from_pylist([facts | itself for facts in table]), episodes)
    tasks = pd.DataFrame({"task_index": [0]}, index=pd.Index([instruction], name="task"))
    tasks.to_parquet(root / "meta" / "tasks.parquet")
    (root / "meta" / "stats.json").write_text(json.dumps(stats, indent=4))
    (root / "meta" / "info.json").write_text(json.dumps(info, indent=4))
