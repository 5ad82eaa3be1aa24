"""Videos of given frames, as LeRobot writes them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

FPS = 10
HEIGHT, WIDTH = 64, 80


def grey(level: int) -> np.ndarray:
    """(64, 80, 3) uint8 of one brightness, by which a frame can be told."""
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def write_video(path: Path, frames: Sequence[np.ndarray], options: dict[str, str] | None = None) -> None:
    """Write (64, 80, 3) uint8 frames in H.264, nearly lossless, with a key frame every fourth; skips without av."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", FPS, options={"crf": "1", "g": "4"} | (options or {}))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for number, frame in enumerate(frames):
            shown = av.VideoFrame.from_ndarray(frame, format="rgb24")
            shown.pts = number
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
