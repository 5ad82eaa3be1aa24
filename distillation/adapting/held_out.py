"""Which images are only measured."""

from collections.abc import Sequence

import numpy as np

from distillation.datasets import Images
from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.hdf5_frames import Hdf5Frames
from distillation.sources.part import PartOfImages
from distillation.sources.zarr_frames import ZarrFrames

MEASURED = 2000
"""Images of each kind on which an encoder is compared with its teacher, at most."""


def hold_out_last(sources: Sequence[Images], share: float) -> tuple[PartOfImages, PartOfImages]:
    """Frames that are learned, and each camera's last ones: neighbours in time are too alike to be on both sides."""
    images = sources[0] if len(sources) == 1 else ConcatenatedImages(sources)
    held = np.concatenate([camera[-_held(len(camera), share) :] for camera in each_camera(images)])
    return PartOfImages(images, np.setdiff1d(np.arange(len(images)), held)), PartOfImages(images, _thinned(held))


def hold_out_evenly(images: Images, share: float) -> tuple[PartOfImages, PartOfImages]:
    """General images that are learned, and others from all over the collection."""
    held = np.linspace(0, len(images) - 1, _held(len(images), share)).astype(np.int64)
    return PartOfImages(images, np.setdiff1d(np.arange(len(images)), held)), PartOfImages(images, _thinned(held))


def each_camera(frames: Images) -> list[np.ndarray]:
    """The numbers of each camera's images: recordings of several cameras show the same moments several times."""
    if isinstance(frames, ZarrFrames):
        return np.split(np.arange(len(frames)), len(frames.cameras))
    if isinstance(frames, Hdf5Frames):
        return list(frames.cameras().values())
    if isinstance(frames, ConcatenatedImages):
        starts = np.cumsum([0, *(len(part) for part in frames.parts)])
        return [
            start + numbers for start, part in zip(starts, frames.parts, strict=False) for numbers in each_camera(part)
        ]
    return [np.arange(len(frames))]


def _held(length: int, share: float) -> int:
    count = round(share * length)
    if count < 2 or length - count < 1:
        raise ValueError(f"images: {length} are too few to hold a share of {share:g} out; two must be measured")
    return count


def _thinned(numbers: np.ndarray) -> np.ndarray:
    return numbers[np.linspace(0, len(numbers) - 1, min(MEASURED, len(numbers))).astype(np.int64)]
