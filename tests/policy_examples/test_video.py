import imageio_ffmpeg
import numpy as np
import pytest

from policy_examples.video import write_video


@pytest.mark.parametrize("fps", [20, 25, 40, 50, 80])
def test_a_video_shows_so_many_frames_a_second(tmp_path, fps):
    frames = list(np.random.default_rng(0).integers(0, 256, (24, 32, 48, 3), dtype=np.uint8))
    write_video(frames, tmp_path / "video.mp4", fps)
    shown = next(imageio_ffmpeg.read_frames(str(tmp_path / "video.mp4")))
    assert (shown["codec"], shown["size"], shown["fps"]) == ("h264", (48, 32), fps)
    assert shown["duration"] == pytest.approx(24 / fps, abs=0.01)
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))[0] == 24
