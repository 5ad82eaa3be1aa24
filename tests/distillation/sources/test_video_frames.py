import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from distillation.sources.decoding import DamagedImage
from distillation.sources.video_frames import OPEN_FILES, Episode, VideoFrames
from tests.distillation.sources.recorded_videos import FPS, grey, write_video

LEVELS = range(10, 200, 10)
"""Of the frames of `video`, one after the other."""


@pytest.fixture
def video(tmp_path) -> Path:
    write_video(tmp_path / "pushes.mp4", [grey(level) for level in LEVELS])
    return tmp_path / "pushes.mp4"


def whole(path: Path, every: int = 1) -> VideoFrames:
    return VideoFrames([Episode(path, 0.0, len(LEVELS))], FPS, every, "pushes")


def shown(frames: VideoFrames, order: list[int] | range) -> list[int]:
    """The brightness of frames; a video loses up to one step of it."""
    return [round(frames.read(index).float().mean().item()) for index in order]


def test_frames_come_episode_by_episode_each_with_the_stride_from_its_first(video):
    episodes = [Episode(video, 0.5, 5), Episode(video, 0.0, 4), Episode(video, 1.5, 1)]
    frames = VideoFrames(episodes, FPS, 3, "pushes")
    np.testing.assert_allclose(shown(frames, range(len(frames))), [LEVELS[n] for n in (5, 8, 0, 3, 15)], atol=1)
    assert (frames.read(0).shape, frames.read(0).dtype) == ((3, 64, 80), torch.uint8)
    assert frames.where(1) == f"{video} at 0.800 s"


REORDERED = {
    "one key frame": {"g": "250", "bf": "3"},
    # frames before a key frame lie behind it in the file, so that a search for their time lands too late
    "open groups": {"g": "12", "bf": "3", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"},
}


@pytest.mark.parametrize("options", REORDERED.values(), ids=REORDERED)
def test_a_video_with_reordered_frames_is_read_exactly_in_any_order(tmp_path, options):
    path = tmp_path / "pushes.mp4"
    write_video(path, [grey(level) for level in LEVELS], options)
    order = np.random.default_rng(0).permutation(len(LEVELS)).tolist()
    np.testing.assert_allclose(shown(whole(path), order), [LEVELS[index] for index in order], atol=1)


def test_the_videos_read_last_are_held_open_and_no_more(tmp_path):
    write_video(tmp_path / "0.mp4", [grey(10)])
    paths = [tmp_path / f"{number}.mp4" for number in range(OPEN_FILES + 1)]
    for path in paths[1:]:
        shutil.copy(paths[0], path)
    frames = VideoFrames([Episode(path, 0.0, 1) for path in paths], FPS, 1, "pushes")
    order = [*range(OPEN_FILES), 0, OPEN_FILES]  # so that 1.mp4 has waited longest
    assert shown(frames, order) == [10] * len(order)
    held = {Path(file.path) for file in psutil.Process().open_files()} & set(paths)
    assert held == set(paths) - {paths[1]}


class Frames(Dataset):
    def __init__(self, frames: VideoFrames):
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.frames.read(index)


def test_workers_read_videos_that_their_parent_has_open(tmp_path):
    """Of noise, so that the file is longer than what a process reads of it at once."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 64, 80, 3), dtype=np.uint8)
    write_video(tmp_path / "noise.mp4", list(noise))
    frames = Frames(VideoFrames([Episode(tmp_path / "noise.mp4", 0.0, len(noise))], FPS, 1, "noise"))
    alone = torch.stack([frames[index] for index in range(len(frames))])
    assert torch.equal(torch.cat(list(DataLoader(frames, 4, num_workers=2))), alone)
    assert torch.equal(pickle.loads(pickle.dumps(frames))[3], alone[3])


def test_the_fingerprint_is_of_the_number_of_frames_with_both_ends_of_the_file_wherever_it_lies(tmp_path):
    content = bytearray(np.random.default_rng(0).bytes(300_000))  # which is not decoded
    first, other = tmp_path / "first.mp4", tmp_path / "other.mp4"
    for path in (first, other):
        path.write_bytes(content)
    assert whole(other).fingerprint == whole(first).fingerprint
    assert whole(first, every=2).fingerprint != whole(first).fingerprint
    for place in (0, -1):
        content[place] ^= 1
        other.write_bytes(content)
        assert whole(other).fingerprint != whole(first).fingerprint
        content[place] ^= 1


def test_what_is_cut_off_or_no_video_is_damaged_frames(video):
    write_video(video, [grey(10)] * 3)
    frames = whole(video)
    assert shown(frames, range(3)) == [10, 10, 10]
    with pytest.raises(DamagedImage, match=r"the video has no frame at 0.300 s"):
        frames.read(3)
    video.write_bytes(b"no video")
    with pytest.raises(DamagedImage, match=r"Invalid data"):
        whole(video).read(3)


def test_videos_that_are_missing_are_counted_and_the_first_is_named(video):
    gone = [Episode(video.with_name(name), 0.0, 1) for name in ("b.mp4", "a.mp4", "b.mp4")]
    with pytest.raises(ValueError, match=rf"images: pushes lacks 2 of 3 video files, the first is .*{os.sep}b.mp4"):
        VideoFrames([Episode(video, 0.0, 1), *gone], FPS, 1, "pushes")


def test_without_the_package_that_decodes_videos_it_is_named(video, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)  # what `import av` meets where it is not installed
    with pytest.raises(
        ValueError,
        match=r"images: pushes holds videos, which the package av decodes: pip install 'xdistill-encoder\[video\]",
    ):
        whole(video)
