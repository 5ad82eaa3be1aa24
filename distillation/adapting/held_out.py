"""Which images are only measured."""

from collections.abc import Sequence

import numpy as np

from distillation.datasets import Images
from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.part import PartOfImages

MEASURED = 2000
"""Images of each kind on which an encoder is compared with its teacher, at most."""


def hold_out_last(sources: Sequence[Images], share: float) -> tuple[PartOfImages, PartOfImages]:
    """Frames that are learned, and each source's last ones: neighbours in time are too alike to be on both sides."""
    images = sources[0] if len(sources) == 1 else ConcatenatedImages(sources)
    ends = np.cumsum([len(source) for source in sources])
    held = np.concatenate(
        [np.arange(end - _held(source, share), end) for source, end in zip(sources, ends, strict=True)]
    )
    return PartOfImages(images, np.setdiff1d(np.arange(len(images)), held)), PartOfImages(images, _thinned(held))


def hold_out_evenly(images: Images, share: float) -> tuple[PartOfImages, PartOfImages]:
    """General images that are learned, and others from all over the collection."""
    held = np.linspace(0, len(images) - 1, _held(images, share)).astype(np.int64)
    return PartOfImages(images, np.setdiff1d(np.arange(len(images)), held)), PartOfImages(images, _thinned(held))


def _held(images: Images, share: float) -> int:
    count = round(share * len(images))
    if count < 2 or len(images) - count < 1:
        raise ValueError(f"images: {len(images)} are too few to hold a share of {share:g} out; two must be measured")
    return count


def _thinned(numbers: np.ndarray) -> np.ndarray:
    return numbers[np.linspace(0, len(numbers) - 1, min(MEASURED, len(numbers))).astype(np.int64)]
