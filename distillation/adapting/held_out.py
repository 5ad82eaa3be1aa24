"""Which images are only measured."""

from collections.abc import Sequence

import numpy as np

from distillation.datasets import Images
from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.part import PartOfImages
from distillation.sources.zarr_frames import ZarrFrames

MEASURED = 2000
"""Images of each kind on which an encoder is compared with its teacher, at most."""


def hold_out_last(sources: Sequence[Images], share: float) -> tuple[PartOfImages, PartOfImages]:
    """Frames that are learned, and each camera's last ones: neighbours in time are too alike to be on both sides."""
    images = sources[0] if len(sources) == 1 else ConcatenatedImages(sources)
    lengths = [length for source in sources for length in camera_lengths(source)]
    ends = np.cumsum(lengths)
    held = np.concatenate(
        [np.arange(end - _held(length, share), end) for length, end in zip(lengths, ends, strict=True)]
    )
    return PartOfImages(images, np.setdiff1d(np.arange(len(images)), held)), PartOfImages(images, _thinned(held))


def hold_out_evenly(images: Images, share: float) -> tuple[PartOfImages, PartOfImages]:
    """General images that are learned, and others from all over the collection."""
    held = np.linspace(0, len(images) - 1, _held(len(images), share)).astype(np.int64)
    return PartOfImages(images, np.setdiff1d(np.arange(len(images)), held)), PartOfImages(images, _thinned(held))


def camera_lengths(frames: Images) -> list[int]:
    """Frames of each camera; those that list one camera after the other show the same moments several times."""
    if isinstance(frames, ZarrFrames):
        return [len(frames.frames)] * len(frames.cameras)
    if isinstance(frames, ConcatenatedImages):
        return [length for part in frames.parts for length in camera_lengths(part)]
    return [len(frames)]


def _held(length: int, share: float) -> int:
    count = round(share * length)
    if count < 2 or length - count < 1:
        raise ValueError(f"images: {length} are too few to hold a share of {share:g} out; two must be measured")
    return count


def _thinned(numbers: np.ndarray) -> np.ndarray:
    return numbers[np.linspace(0, len(numbers) - 1, min(MEASURED, len(numbers))).astype(np.int64)]
