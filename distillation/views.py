"""Augmentation that can be replayed: a view is a pure function of (seed, epoch, index)."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf


@dataclass(frozen=True)
class View:
    """A crop box in px of the source image, mirrored or not."""

    top: int
    left: int
    height: int
    width: int
    flip: bool


def random_view(
    seed: int, epoch: int, index: int, image_size: tuple[int, int], min_scale: float, max_aspect: float = 4 / 3
) -> View:
    """Random resized crop, mirrored half of the time.

    Args:
        seed, epoch, index: what the view depends on, beside the image's size; nothing else does.
        image_size: (H, W) of the source in px.
        min_scale: smallest share of the image's area in (0, 1]; the share is uniform in [min_scale, 1].
        max_aspect: the aspect ratio is log-uniform in [1 / max_aspect, max_aspect].

    Raises:
        ValueError: min_scale outside (0, 1].
    """
    if not 0 < min_scale <= 1:
        raise ValueError(f"min_scale: expected a share in (0, 1], got {min_scale}")
    uniform = np.random.Generator(np.random.Philox(key=[seed, (epoch << 40) + index])).random(5)
    image_height, image_width = image_size
    area = image_height * image_width * (min_scale + (1 - min_scale) * uniform[0])
    aspect = math.exp(math.log(max_aspect) * (2 * uniform[1] - 1))
    height = min(image_height, max(1, round(math.sqrt(area / aspect))))
    width = min(image_width, max(1, round(math.sqrt(area * aspect))))
    top = int(uniform[2] * (image_height - height + 1))
    left = int(uniform[3] * (image_width - width + 1))
    return View(top, left, height, width, flip=bool(uniform[4] < 0.5))


def render(image: Tensor, view: View, size_px: int) -> Tensor:
    """(3, H, W) uint8 -> the view as (3, size_px, size_px) uint8, bilinear with antialiasing."""
    crop = tvf.crop(image, view.top, view.left, view.height, view.width)
    crop = tvf.resize(crop, [size_px, size_px], antialias=True)
    return tvf.horizontal_flip(crop) if view.flip else crop
