import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.decoding import DamagedImage
from distillation.sources.lerobot import open_lerobot
from tests.distillation.sources.recorded_videos import FPS, grey, write_video

LENGTHS = (7, 12, 5)
TOP, WRIST = "observation.images.top", "observation.images.wrist"


def level(camera: str, episode: int, frame: int) -> int:
    """Brightness that tells every frame of the recording from every other."""
    return 10 + 4 * (sum(LENGTHS[:episode]) + frame) + (100 if camera == WRIST else 0)


def pixels(camera: str, episode: int, frame: int) -> np.ndarray:
    return grey(level(camera, episode, frame))


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_info(root: Path, version: str, kinds: dict[str, str]) -> None:
    (root / "meta").mkdir(parents=True)
    features = {name: {"dtype": kind, "shape": [64, 80, 3]} for name, kind in kinds.items()}
    features["action"] = {"dtype": "float32", "shape": [2]}
    in_chunk = "chunk-{chunk_index:03d}/file-{file_index:03d}"
    paths = {
        "v2.1": {
            "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        },
        "v3.0": {"data_path": f"data/{in_chunk}.parquet", "video_path": f"videos/{{video_key}}/{in_chunk}.mp4"},
    }
    info = {"codebase_version": version, "fps": FPS, "features": features, "chunks_size": 2} | paths[version]
    (root / "meta" / "info.json").write_text(json.dumps(info))


def rows(episode: int, kinds: dict[str, str]) -> list[dict]:
    return [
        {"episode_index": episode, "frame_index": frame, "action": [0.0, 0.0]}
        | {
            name: {"bytes": png(pixels(name, episode, frame)), "path": f"frame-{frame:06d}.png"}
            for name, kind in kinds.items()
            if kind == "image"
        }
        for frame in range(LENGTHS[episode])
    ]


def write_v2(root: Path, kinds: dict[str, str]) -> Path:
    """One file an episode, two episodes a chunk."""
    write_info(root, "v2.1", kinds)
    lines = []
    for episode, length in enumerate(LENGTHS):
        lines.append(json.dumps({"episode_index": episode, "tasks": ["push"], "length": length}))
        chunk = f"chunk-{episode // 2:03d}"
        (root / "data" / chunk).mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist(rows(episode, kinds)), root / "data" / chunk / f"episode_{episode:06d}.parquet"
        )
        for name in (name for name, kind in kinds.items() if kind == "video"):
            frames = [pixels(name, episode, frame) for frame in range(length)]
            write_video(root / "videos" / chunk / name / f"episode_{episode:06d}.mp4", frames)
    (root / "meta" / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    return root


def write_v3(root: Path, kinds: dict[str, str]) -> Path:
    """Episodes 0 and 1 in the first file, 2 in the second."""
    write_info(root, "v3.0", kinds)
    place = {0: (0, 0.0), 1: (0, LENGTHS[0] / FPS), 2: (1, 0.0)}
    described = []
    for episode, (file, start_s) in place.items():
        of_videos = {
            f"videos/{name}/{fact}": value
            for name in kinds
            for fact, value in (("chunk_index", 0), ("file_index", file), ("from_timestamp", start_s))
        }
        described.append({"episode_index": episode, "length": LENGTHS[episode]} | of_videos)
    for folder in ("meta/episodes/chunk-000", "data/chunk-000"):
        (root / folder).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(described), root / "meta/episodes/chunk-000/file-000.parquet")
    for file, episodes in ((0, (0, 1)), (1, (2,))):
        pq.write_table(
            pa.Table.from_pylist([row for episode in episodes for row in rows(episode, kinds)]),
            root / "data/chunk-000" / f"file-{file:03d}.parquet",
        )
        for name in (name for name, kind in kinds.items() if kind == "video"):
            frames = [pixels(name, episode, frame) for episode in episodes for frame in range(LENGTHS[episode])]
            write_video(root / "videos" / name / "chunk-000" / f"file-{file:03d}.mp4", frames)
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")


WRITERS = pytest.mark.parametrize("write", [write_v2, write_v3], ids=["v2.1", "v3.0"])
KINDS = pytest.mark.parametrize("kind", ["image", "video"])
ALL = [(camera, episode, frame) for camera in (TOP, WRIST) for episode in range(3) for frame in range(LENGTHS[episode])]


def shown(frames: ConcatenatedImages) -> list[int]:
    """The brightness of each frame; videos lose up to one step of it."""
    return [round(frames.read(index).float().mean().item()) for index in range(len(frames))]


@WRITERS
@KINDS
def test_every_frame_of_every_camera_is_the_one_that_was_recorded(tmp_path, write, kind):
    frames = open_lerobot(f"lerobot:{write(tmp_path / 'set', {TOP: kind, WRIST: kind})}")
    assert frames.read(0).shape == (3, 64, 80)
    assert frames.read(0).dtype == torch.uint8
    np.testing.assert_allclose(shown(frames), [level(*each) for each in ALL], atol=1)


@WRITERS
@KINDS
def test_one_camera_with_a_stride_gives_every_third_frame_of_each_episode(tmp_path, write, kind):
    root = write(tmp_path / "set", {TOP: kind, WRIST: kind})
    frames = open_lerobot(f"lerobot:{root}#{WRIST}?every=3")
    expected = [level(*each) for each in ALL if each[0] == WRIST and each[2] % 3 == 0]
    assert len(expected) == 3 + 4 + 2
    np.testing.assert_allclose(shown(frames), expected, atol=1)


@WRITERS
@KINDS
def test_the_fingerprint_is_of_the_frames_not_of_the_folder(tmp_path, write, kind):
    first = open_lerobot(f"lerobot:{write(tmp_path / 'a', {TOP: kind})}").fingerprint
    assert open_lerobot(f"lerobot:{write(tmp_path / 'b', {TOP: kind})}").fingerprint == first
    assert open_lerobot(f"lerobot:{tmp_path / 'a'}?every=2").fingerprint != first


def test_a_cell_without_bytes_is_a_damaged_frame(tmp_path):
    root = write_v3(tmp_path / "set", {TOP: "image"})
    path = root / "data/chunk-000/file-001.parquet"
    lines = pq.read_table(path).to_pylist()
    lines[2][TOP] = {"bytes": None, "path": "frame-000002.png"}
    pq.write_table(pa.Table.from_pylist(lines), path)
    frames = open_lerobot(f"lerobot:{root}?every=2")  # frames 0, 2, 4, 6; 0, 2, ..., 10; 0, 2, 4
    assert frames.where(11) == f"{root}#{TOP} row {LENGTHS[0] + LENGTHS[1] + 2}"
    with pytest.raises(DamagedImage, match="no bytes in the table"):
        frames.read(11)


def test_depth_maps_are_left_out_unless_they_are_named(tmp_path):
    root = write_v2(tmp_path / "set", {TOP: "image", WRIST: "image"})
    info = json.loads((root / "meta/info.json").read_text())
    info["features"][WRIST]["info"] = {"video.is_depth_map": True}
    (root / "meta/info.json").write_text(json.dumps(info))
    assert len(open_lerobot(f"lerobot:{root}")) == sum(LENGTHS)
    assert len(open_lerobot(f"lerobot:{root}#{WRIST}")) == sum(LENGTHS)


def test_what_is_no_such_data_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is neither a folder nor a Hub id such as"):
        open_lerobot(f"lerobot:{tmp_path}/nowhere")
    with pytest.raises(ValueError, match=r"is no LeRobotDataset: it has no meta/info.json"):
        open_lerobot(f"lerobot:{tmp_path}")
    root = write_v2(tmp_path / "set", {TOP: "image"})
    with pytest.raises(ValueError, match=rf"has no camera 'wrist'; its cameras: {TOP}"):
        open_lerobot(f"lerobot:{root}#wrist")
    info = (root / "meta/info.json").read_text()
    (root / "meta/info.json").write_text(info.replace("v2.1", "v1.6"))
    with pytest.raises(ValueError, match=r"of format v2 or v3 in .*set, got v1.6"):
        open_lerobot(f"lerobot:{root}")


def test_a_transfer_that_hf_xet_breaks_off_is_told(monkeypatch):
    """hf_xet raises a bare RuntimeError, which a Hub on this machine without Xet cannot make it do."""

    def break_off(*_, **__):
        raise RuntimeError("Data processing error:\n  CAS service error")

    monkeypatch.setattr("huggingface_hub.snapshot_download", break_off)
    with pytest.raises(ValueError, match=r"cannot be fetched from the Hub: Data processing error: CAS"):
        open_lerobot("lerobot:org/name")
