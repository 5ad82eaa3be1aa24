"""Frames of a LeRobotDataset, format 2 or 3, from a folder or the Hub."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.frame_specs import parse_frame_spec
from distillation.sources.parquet_frames import ParquetFrames
from distillation.sources.video_frames import Episode, VideoFrames
from xdistill_encoder.hub import on_one_line, transfer_errors

_HUB_ID = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^@]+))?")


def open_lerobot(source: str) -> ConcatenatedImages:
    """ "lerobot:<folder or Hub id[@revision]>[#camera][?every=n]" -> frames, one camera after the other.

    A camera is a feature of meta/info.json of type image (files in parquet) or video (mp4, which takes the package av);
    without one all are taken, depth maps left out.

    Raises:
        ValueError: no such data set or camera; another format; a missing file or package.
    """
    spec = parse_frame_spec(source)
    if Path(spec.place).is_dir():
        root = Path(spec.place)
        info = _read_info(root)
        cameras = _cameras(info, root, spec.camera)
    else:
        root = _download(spec.place, ["meta/info.json"])
        info = _read_info(root)
        cameras = _cameras(info, root, spec.camera)
        _download(spec.place, ["meta/**", *_patterns(info, cameras)])
    return ConcatenatedImages([_open_camera(root, info, camera, spec.every) for camera in cameras])


def _read_info(root: Path) -> dict[str, Any]:
    path = root / "meta" / "info.json"
    if not path.is_file():
        raise ValueError(f"images: {root} is no LeRobotDataset: it has no meta/info.json")
    info = json.loads(path.read_text())
    if not re.match(r"v[23]\.", str(info.get("codebase_version"))):
        raise ValueError(
            f"images: expected a LeRobotDataset of format v2 or v3 in {root}, got {info.get('codebase_version')}; "
            "lerobot converts older ones"
        )
    return info


def _cameras(info: dict[str, Any], root: Path, camera: str | None) -> list[str]:
    kinds = {name: feature["dtype"] for name, feature in info["features"].items()}
    cameras = [name for name, kind in kinds.items() if kind in ("image", "video")]
    if (camera is not None and camera not in cameras) or not cameras:
        raise ValueError(
            f"images: {root} has {f'no camera {camera!r}' if camera else 'no camera'}; its cameras: "
            f"{', '.join(cameras) or 'none'}"
        )
    colour = [name for name in cameras if not _is_depth(info["features"][name])]
    return [camera] if camera else colour


def _is_depth(feature: dict[str, Any]) -> bool:
    return bool((feature.get("info") or feature.get("video_info") or {}).get("video.is_depth_map"))


def _patterns(info: dict[str, Any], cameras: Sequence[str]) -> list[str]:
    """Files of these cameras in a repository of the Hub."""
    videos = [name for name in cameras if info["features"][name]["dtype"] == "video"]
    of_videos = [pattern for name in videos for pattern in (f"videos/{name}/**", f"videos/*/{name}/**")]
    return of_videos if len(videos) == len(cameras) else ["data/**", *of_videos]


def _download(place: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    match = _HUB_ID.fullmatch(place)
    if match is None:
        raise ValueError(f"images: {place} is neither a folder nor a Hub id such as lerobot/pusht")
    try:
        return Path(
            snapshot_download(
                match["name"], repo_type="dataset", revision=match["revision"], allow_patterns=patterns, max_workers=4
            )
        )
    except (*transfer_errors(), ValueError) as error:
        raise ValueError(
            f"images: {place} is no folder, and cannot be fetched from the Hub: {on_one_line(error)}"
        ) from error


def _open_camera(root: Path, info: dict[str, Any], camera: str, every: int) -> ParquetFrames | VideoFrames:
    name = f"{root}#{camera}"
    if info["features"][camera]["dtype"] == "video":
        return VideoFrames(_episodes(root, info, camera), info["fps"], every, name)
    files = sorted(str(path) for path in (root / "data").rglob("*.parquet"))
    if not files:
        raise ValueError(f"images: {root} has no parquet file in data/")
    return ParquetFrames(files, camera, every, name)


def _episodes(root: Path, info: dict[str, Any], camera: str) -> list[Episode]:
    """Where the video of each episode lies: a file of its own in format 2, a part of a file in format 3."""
    template = info["video_path"]
    if info["codebase_version"].startswith("v2."):
        lines = (root / "meta" / "episodes.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
        chunk_size = info["chunks_size"]
        return [
            Episode(
                root
                / template.format(
                    episode_chunk=row["episode_index"] // chunk_size,
                    video_key=camera,
                    episode_index=row["episode_index"],
                ),
                0.0,
                row["length"],
            )
            for row in rows
        ]
    chunk, file, start_s = (f"videos/{camera}/{name}" for name in ("chunk_index", "file_index", "from_timestamp"))
    rows = pq.read_table(
        root / "meta" / "episodes", columns=["episode_index", "length", chunk, file, start_s]
    ).to_pylist()
    return [
        Episode(
            root / template.format(video_key=camera, chunk_index=row[chunk], file_index=row[file]),
            row[start_s],
            row["length"],
        )
        for row in sorted(rows, key=lambda row: row["episode_index"])
    ]
