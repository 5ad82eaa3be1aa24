"""Writes frames as a video."""

from pathlib import Path

import numpy as np

FPS = 40


def write_video(frames: list[np.ndarray], path: Path) -> None:
    """(H, W, 3) uint8 frames -> MP4 (H.264)."""
    import imageio_ffmpeg

    height, width, _ = frames[0].shape
    writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=FPS)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
