"""Writes frames as a video."""

from pathlib import Path
from typing import Any

import numpy as np


def write_video(frames: list[np.ndarray], path: Path, fps: float) -> None:
    """(H, W, 3) uint8 frames, so many a second -> MP4 (H.264), whole or not at all."""
    import imageio_ffmpeg

    height, width, _ = frames[0].shape
    rate: Any = fps  # a float by imageio_ffmpeg's documentation, an int by the default that type checkers see
    partial = path.with_name(f".{path.stem}.partial.mp4")  # ffmpeg goes by the ending
    writer = imageio_ffmpeg.write_frames(str(partial), (width, height), fps=rate)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    partial.replace(path)
