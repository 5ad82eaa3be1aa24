"""Single frames of video files."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillation.sources.decoding import DamagedImage
from distillation.sources.locating import locate

OPEN_FILES = 8
_SEEK_EARLIER_S = (0.0, 1.0, 10.0, float("inf"))
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class Episode:
    """A part of a video file."""

    path: Path
    start_s: float
    """Time of its first frame in the file."""
    length: int
    """Frames."""


class VideoFrames:
    """Frames of episodes, one episode after the other, decoded one at a time.

    A frame costs the decoding from the key frame before it; LeRobot writes one every second frame.

    Args:
        episodes: where they lie.
        fps: frames a second, constant.
        every: stride inside an episode.
        name: of the recording, for people.

    Raises:
        ValueError: a file is missing, or the package av.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, episodes: Sequence[Episode], fps: float, every: int, name: str):
        _require_av(name)
        files = dict.fromkeys(episode.path for episode in episodes)
        missing = [str(path) for path in files if not path.is_file()]
        if missing:
            raise ValueError(
                f"images: {name} lacks {len(missing)} of {len(files)} video files, the first is {missing[0]}"
            )
        self.episodes = tuple(episodes)
        self.fps = fps
        self.every = every
        self.name = name
        self._ends = np.cumsum([len(range(0, episode.length, every)) for episode in episodes])
        self._opened: tuple[int, OrderedDict[Path, Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __len__(self) -> int:
        return int(self._ends[-1])

    @cached_property
    def fingerprint(self) -> str:
        """Of the number of frames with the first and the last bytes of some of the files."""
        digest = hashlib.sha256(str(len(self)).encode())
        files = list(dict.fromkeys(episode.path for episode in self.episodes))
        for path in files[:: max(1, len(files) // 64)]:
            with open(path, "rb") as file:
                digest.update(file.read(_BLOCK_BYTES))
                file.seek(max(0, path.stat().st_size - _BLOCK_BYTES))
                digest.update(file.read())
        return digest.hexdigest()[:16]

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        import av

        episode, frame = self._locate(index)
        time_s = episode.start_s + frame / self.fps
        try:
            return _frame_at(self._container(episode.path), time_s, 0.5 / self.fps)
        except av.FFmpegError as error:
            raise DamagedImage(str(error)) from error

    def where(self, index: int) -> str:
        """The place of one frame, for people."""
        episode, frame = self._locate(index)
        return f"{episode.path} at {episode.start_s + frame / self.fps:.3f} s"

    def _locate(self, index: int) -> tuple[Episode, int]:
        episode, frame = locate(self._ends, index)
        return self.episodes[episode], frame * self.every

    def _container(self, path: Path) -> Any:
        """The open file, of which each process keeps a few: a position that a fork shares would be moved by both."""
        import av

        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), OrderedDict())
        containers = self._opened[1]
        if path not in containers:
            while len(containers) >= OPEN_FILES:
                containers.popitem(last=False)[1].close()
            containers[path] = av.open(str(path))
            containers[path].streams.video[0].codec_context.thread_count = 1  # the loader's workers use the cores
        containers.move_to_end(path)
        return containers[path]


def _frame_at(container: Any, time_s: float, tolerance_s: float) -> Tensor:
    """The frame that is shown at a time.

    A container orders its index by decoding time, so a search may land behind the frame; then one further back helps.
    """
    stream = container.streams.video[0]
    for earlier_s in _SEEK_EARLIER_S:
        container.seek(round(max(0.0, time_s - earlier_s) / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time > time_s + tolerance_s:
                break
            if frame.time >= time_s - tolerance_s:
                pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                return pixels.rot90(frame.rotation // 90, (-2, -1)).contiguous()  # upright, as players show it
    raise DamagedImage(f"the video has no frame at {time_s:.3f} s")


def _require_av(name: str) -> None:
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"images: {name} holds videos, which the package av decodes: pip install 'xdistill-encoder[video]'"
        ) from error
