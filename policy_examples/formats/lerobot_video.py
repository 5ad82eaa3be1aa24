"""Decodes the part of a video that holds one episode."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_SEEK_EARLIER_S = (0.0, 1.0, 10.0, float("inf"))


@dataclass(frozen=True)
class VideoPart:
    """Frames of one episode."""

    path: Path
    start_s: float
    """Time of the first one in the file."""
    length: int
    """Frames."""


def require_av(root: Path) -> None:
    """Raise a ValueError that says what to install where PyAV is missing."""
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"demonstrations: {root} holds videos, which the package av decodes: pip install av"
        ) from error


def read_frames(part: VideoPart, fps: float, fit: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(L, H, W, 3) uint8 RGB, each frame passed through `fit` as it is decoded.

    Raises:
        ValueError: the file is missing, damaged, or lacks a frame.
    """
    import av

    try:
        with av.open(str(part.path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for earlier_s in _SEEK_EARLIER_S:
                frames = _decode(container, part, fps, earlier_s, fit)
                if frames is not None:
                    return np.stack(frames)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise ValueError(
            f"demonstrations: {part.path} is missing or damaged ({error}); copy the folder again."
        ) from error
    raise ValueError(
        f"demonstrations: {part.path} lacks frames between {part.start_s:.3f} s and "
        f"{part.start_s + part.length / fps:.3f} s; copy the folder again."
    )


def _decode(
    container: Any, part: VideoPart, fps: float, earlier_s: float, fit: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray] | None:
    """The frames after a search, or None if it landed behind the first one or the file ends before the last.

    A container orders its index by decoding time, so a search may land behind the frame; then one further back helps.
    """
    stream = container.streams.video[0]
    container.seek(round(max(0.0, part.start_s - earlier_s) / stream.time_base), stream=stream)
    frames: list[np.ndarray] = []
    for frame in container.decode(stream):
        number = round((frame.time - part.start_s) * fps)
        if number < 0:
            continue
        if number != len(frames):
            return None
        frames.append(fit(frame.to_ndarray(format="rgb24")))
        if len(frames) == part.length:
            return frames
    return None
