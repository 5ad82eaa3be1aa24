from fractions import Fraction

import av
import numpy as np
import pytest

from distillation.datasets import open_images
from distillation.sources.video_files import open_videos


@pytest.fixture
def record():
    """(path, frames, Hz, first): a video whose frame n is grey of the level 10 n, the first of them at first / Hz s."""

    def write(path, frames: int, rate: int = 10, first: int = 0):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=rate)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(frames):
                pixels = np.full((48, 64, 3), 10 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = first + number, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    return write


def test_frames_of_all_videos_in_a_folder_come_file_by_file(tmp_path, record):
    record(tmp_path / "a.mp4", 6)
    (tmp_path / "more").mkdir()
    record(tmp_path / "more" / "b.mp4", 9)
    frames = open_images([f"video:{tmp_path}?every=2"])
    levels = [float(frames.read(index).float().mean()) for index in range(len(frames))]
    assert levels == pytest.approx([0, 20, 40, 0, 20, 40, 60, 80], abs=3)
    assert frames.read(0).shape == (3, 48, 64)
    assert frames.where(4) == f"{tmp_path}/more/b.mp4 at 0.200 s"


def test_what_is_no_video_is_told(tmp_path, record):
    with pytest.raises(ValueError, match=r"no .mp4, .*at "):
        open_videos(f"video:{tmp_path}")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"text.mp4 is no video that can be read"):
        open_videos(f"video:{tmp_path}/text.mp4")
    with pytest.raises(ValueError, match="a video has one camera, got #front"):
        open_videos(f"video:{tmp_path}/text.mp4#front")


def test_videos_of_several_frame_rates_are_told(tmp_path, record):
    record(tmp_path / "a.mp4", 5, rate=10)
    record(tmp_path / "b.mp4", 5, rate=25)
    with pytest.raises(ValueError, match="frame rates of 10, 25 Hz; give them one by one"):
        open_videos(f"video:{tmp_path}")


def test_a_video_that_is_shown_turned_is_read_turned(tmp_path):
    """As a phone that is held upright records: rows of the sensor, with the turn that a player makes."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :8] = 255  # the left edge of what is stored
    with av.open(str(tmp_path / "turned.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90)  # counter-clockwise, which brings the left edge to the bottom
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    frame = open_videos(f"video:{tmp_path}/turned.mp4").read(0).float().mean(dim=0)
    assert frame.shape == (64, 48)
    assert frame[-4:].mean() > 200
    assert frame[:32].mean() < 50


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_that_does_not_start_at_0_s_has_all_its_frames(tmp_path, record, suffix):
    record(tmp_path / f"cut.{suffix}", 12, first=3)
    frames = open_videos(f"video:{tmp_path}/cut.{suffix}")
    levels = [float(frames.read(index).float().mean()) for index in range(len(frames))]
    assert levels == pytest.approx([10 * number for number in range(12)], abs=3)
