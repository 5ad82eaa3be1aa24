import sys

import imageio_ffmpeg
import numpy as np
import pytest

from policy_examples import rollout
from policy_examples.video import write_video


@pytest.mark.parametrize("fps", [20, 25, 40, 50, 80])
def test_a_video_shows_so_many_frames_a_second(tmp_path, fps):
    frames = list(np.random.default_rng(0).integers(0, 256, (24, 32, 48, 3), dtype=np.uint8))
    write_video(frames, tmp_path / "video.mp4", fps)
    shown = next(imageio_ffmpeg.read_frames(str(tmp_path / "video.mp4")))
    assert (shown["codec"], shown["size"], shown["fps"]) == ("h264", (48, 32), fps)
    assert shown["duration"] == pytest.approx(24 / fps, abs=0.01)
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "video.mp4"))[0] == 24


def test_what_films_need_is_missed_before_anything_is_played(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # as where it is not installed
    with pytest.raises(ValueError, match=r"video: the package imageio-ffmpeg is not installed; pip install 'xdistill"):
        rollout.run(rollout.Config(policy=tmp_path / "none", output=tmp_path / "out"))
    with pytest.raises(ValueError, match="policy: .*none holds no policy"):
        rollout.run(rollout.Config(policy=tmp_path / "none", output=tmp_path / "out", video=False))


def test_a_film_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "video.mp4"
    write_video([np.zeros((32, 48, 3), np.uint8)] * 3, path, 20)
    before = path.read_bytes()

    class Interrupted:
        def __array__(self, *_, **__):
            raise KeyboardInterrupt

    frames: list = [np.zeros((32, 48, 3), np.uint8), Interrupted()]
    with pytest.raises(KeyboardInterrupt):
        write_video(frames, path, 20)
    assert path.read_bytes() == before
