"""Writes frames as a video."""

from pathlib import Path
from typing import Any

import numpy as np


def write_video(frames: list[np.ndarray], path: Path, fps: float) -> None:
    """(H, W, 3) uint8 frames, so many a second -> MP4 (H.264)."""
    import imageio_ffmpeg

    height, width, _ = frames[0].shape
    rate: Any = fps  # a float by imageio_ffmpeg's documentation, an int by the default that type checkers see
    writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=rate)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
