"""Writes frames as a video."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.whole_files import whole


def require_video_writer() -> None:
    """Raise a ValueError where no video can be written, before the hours of work after which one would be."""
    if find_spec("imageio_ffmpeg") is None:
        raise ValueError("video: the package imageio-ffmpeg is not installed; pip install 'xdistill-encoder[recipes]'.")


def write_video(frames: list[np.ndarray], path: Path, fps: float) -> None:
    """(H, W, 3) uint8 frames, so many a second -> MP4 (H.264), whole or not at all."""
    import imageio_ffmpeg

    height, width, _ = frames[0].shape
    rate: Any = fps  # a float by imageio_ffmpeg's documentation, an int by the default that type checkers see
    with whole(path) as partial:
        place = str(partial.absolute())  # to ffmpeg a:b/c would be a protocol
        writer = imageio_ffmpeg.write_frames(place, (width, height), fps=rate)
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
