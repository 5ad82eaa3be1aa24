"""How a command line names the frames of robot recordings."""

import re
from dataclasses import dataclass

_FORM = re.compile(
    r"(?P<kind>zarr|lerobot|hdf5|video):(?P<place>[^#?]+)(#(?P<camera>[^#?]+))?(\?every=(?P<every>[1-9]\d*))?"
)


@dataclass(frozen=True)
class FrameSpec:
    """Which frames of which recording."""

    place: str
    """Folder, file or Hub id."""
    camera: str | None
    """None: each of the cameras."""
    every: int
    """Stride inside an episode; neighbouring frames show nearly the same."""


def parse_frame_spec(source: str) -> FrameSpec:
    """ "zarr:", "lerobot:", "hdf5:" or "video:", the place, then "#<camera>" and "?every=<n>" as wanted.

    Raises:
        ValueError: another form.
    """
    match = _FORM.fullmatch(source)
    if match is None:
        raise ValueError(
            "images: expected zarr:, hdf5:, video: with a path, or lerobot: with a folder or Hub id, then [#camera] "
            f"and [?every=n] with n from 1 on, got {source!r}"
        )
    return FrameSpec(match["place"], match["camera"], int(match["every"] or 1))


def frames_of_episodes(ends: list[int], every: int) -> list[range]:
    """Frames that are kept of each episode, given one past the last frame of each: the first, then each n-th."""
    return [range(start, end, every) for start, end in zip([0, *ends], ends, strict=False)]
