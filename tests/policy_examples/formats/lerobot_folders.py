"""LeRobotDataset folders of formats 2.1 and 3.0 as LeRobot itself lays them out, for the tests of the reader."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

LENGTHS = (6, 4)
ONE_TASK = ("push", "push")
"""Of each episode."""
FPS = 10
STEPS = sum(LENGTHS)
ENDS = np.cumsum(LENGTHS).tolist()


def grey(first: int, length: int) -> np.ndarray:
    """(L, 64, 48, 3): frame i of the whole data set is grey of level 20 i, so that a video shows which it is."""
    levels = 20 * np.arange(first, first + length, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (length, 64, 48, 3)).copy()


def noise() -> np.ndarray:
    """(STEPS, 8, 8, 3): frames of the camera that is kept in the rows."""
    return np.random.default_rng(0).integers(0, 256, (STEPS, 8, 8, 3), dtype=np.uint8)


def vectors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {
        "observation.state": random.normal(size=(STEPS, 3)).astype(np.float32),
        "action": random.normal(size=(STEPS, 2)).astype(np.float32),
        "next.reward": random.normal(size=(STEPS,)).astype(np.float32),
    }


def write_video(path: Path, frames: np.ndarray) -> None:
    """With a key frame every second frame, as LeRobot writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": "2"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def rows(first: int, end: int, episode: int, task_index: int) -> pa.Table:
    pictures = [io.BytesIO() for _ in range(first, end)]
    for picture, frame in zip(pictures, noise()[first:end], strict=True):
        Image.fromarray(frame).save(picture, format="PNG")
    columns = {
        "observation.images.wrist": pa.array([{"bytes": picture.getvalue(), "path": "x.png"} for picture in pictures]),
        **{
            name: pa.array(values[first:end].tolist(), pa.list_(pa.float32()) if values.ndim == 2 else pa.float32())
            for name, values in vectors().items()
        },
        "episode_index": pa.array([episode] * (end - first)),
        "task_index": pa.array([task_index] * (end - first)),
    }
    return pa.table(columns)


def write_info(root: Path, version: str, video_path: str) -> None:
    def vector(size):
        return {"dtype": "float32", "shape": [size], "names": None}

    def camera(kind, height, width, **info):
        return {"dtype": kind, "shape": [height, width, 3], "names": ["height", "width", "channel"], "info": info}

    features = {
        "observation.images.top": camera("video", 64, 48),
        "observation.images.depth": camera("video", 64, 48, **{"video.is_depth_map": True}),
        "observation.images.wrist": camera("image", 8, 8),
        "observation.state": vector(3),
        "action": vector(2),
        "next.reward": vector(1),
        "task_index": {"dtype": "int64", "shape": [1], "names": None},
        "task": {"dtype": "string", "shape": [1], "names": None},
    }
    info = {
        "codebase_version": version,
        "fps": FPS,
        "chunks_size": 1000,
        "video_path": video_path,
        "features": features,
    }
    (root / "meta").mkdir(parents=True, exist_ok=True)
    (root / "meta" / "info.json").write_text(json.dumps(info))


def write_v2(root: Path, tasks: Sequence[str] = ONE_TASK) -> Path:
    """Format 2.1: files of its own for each episode."""
    write_info(root, "v2.1", "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4")
    lines, known = [], list(dict.fromkeys(tasks))
    for episode, (length, end) in enumerate(zip(LENGTHS, ENDS, strict=True)):
        path = root / f"data/chunk-000/episode_{episode:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows(end - length, end, episode, known.index(tasks[episode])), path)
        frames = grey(end - length, length)
        write_video(root / f"videos/chunk-000/observation.images.top/episode_{episode:06d}.mp4", frames)
        lines.append(json.dumps({"episode_index": episode, "tasks": [tasks[episode]], "length": length}))
    (root / "meta" / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    listed = [json.dumps({"task_index": index, "task": task}) for index, task in enumerate(known)]
    (root / "meta" / "tasks.jsonl").write_text("\n".join(listed) + "\n")
    return root


def write_v3(root: Path, tasks: Sequence[str] = ONE_TASK) -> Path:
    """Format 3.0: all episodes in one file, in one row group, as LeRobot's converter leaves them."""
    write_info(root, "v3.0", "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4")
    tables, table, known = [], [], list(dict.fromkeys(tasks))
    for episode, (length, end) in enumerate(zip(LENGTHS, ENDS, strict=True)):
        tables.append(rows(end - length, end, episode, known.index(tasks[episode])))
        video = {"chunk_index": 0, "file_index": 0, "from_timestamp": (end - length) / FPS, "to_timestamp": end / FPS}
        video_columns = {f"videos/observation.images.top/{name}": value for name, value in video.items()}
        table.append({"episode_index": episode, "length": length, "tasks": [tasks[episode]], **video_columns})
    for path, content in {
        "data/chunk-000/file-000.parquet": pa.concat_tables(tables),
        "meta/episodes/chunk-000/file-000.parquet": pa.Table.from_pylist(table),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(content, root / path)
    pd.DataFrame({"task_index": range(len(known))}, index=known).to_parquet(root / "meta/tasks.parquet")
    write_video(root / "videos/observation.images.top/chunk-000/file-000.mp4", grey(0, STEPS))
    return root
