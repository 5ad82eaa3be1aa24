"""Augmentation that can be replayed: a view is a pure function of (seed, epoch, index)."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from distillation.photometric import gaussian_blur, turn_hue

Interpolation = Literal["bilinear", "bicubic"]
LEAST_BLUR_PX = 0.2  # below, a pixel's neighbours weigh less than 1e-5 each: no grey level moves


@dataclass(frozen=True)
class View:
    """What was done to an image, in terms that do not depend on the size at which the view is rendered."""

    top: int
    """Of the crop box, in px of the source; likewise the next three."""
    left: int
    height: int
    width: int
    flip: bool
    """Mirrored left to right."""
    brightness: float = 1.0
    """Factor of all values; 1: untouched."""
    contrast: float = 1.0
    """Factor of the distance from the view's mean grey; 1: untouched."""
    saturation: float = 1.0
    """Factor of the distance from each pixel's grey; 1: untouched."""
    hue: float = 0.0
    """Turn of the colour circle in [-0.5, 0.5] revolutions; 0: untouched."""
    blur: float = 0.0
    """Standard deviation of a Gaussian as a share of the view's side; 0: untouched."""


@dataclass(frozen=True)
class Augmentation:
    """What views are drawn from; the defaults are the paper preset, crop and flip.

    Raises:
        ValueError: a value outside the range that its line states.
    """

    min_scale: float = 0.35
    """Smallest share of the image's area that is drawn for a crop, in (0, 1]; it is uniform in [min_scale, 1]. Sides
    longer than the image's are clipped to them, so that the crop of an elongated image may be smaller."""
    max_aspect: float = 4 / 3
    """At least 1; the crop's width over height is log-uniform in [1 / max_aspect, max_aspect]."""
    flip: float = 0.5
    """Probability in [0, 1] of mirroring."""
    jitter_probability: float = 0.0
    """Probability in [0, 1] of changing the colours, by all four of the next strengths."""
    brightness: float = 0.0
    """Strength s in [0, 1]: the factor is uniform in [1 - s, 1 + s]; likewise the next two."""
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    """Strength in [0, 0.5]: the turn is uniform in [-hue, hue] revolutions."""
    blur_probability: float = 0.0
    """Probability in [0, 1] of blurring."""
    min_blur: float = 0.0
    """Least standard deviation, as a share of the view's side."""
    max_blur: float = 0.0
    """Largest standard deviation, in [min_blur, 0.1]; it is uniform between the two."""

    def __post_init__(self):
        shares = ("flip", "jitter_probability", "blur_probability", "brightness", "contrast", "saturation")
        ranges = {"min_scale": (0.0, 1.0), "max_aspect": (1.0, math.inf)} | dict.fromkeys(shares, (0.0, 1.0))
        ranges |= {"hue": (0.0, 0.5), "min_blur": (0.0, 0.1), "max_blur": (self.min_blur, 0.1)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not (low <= value <= high and math.isfinite(value)) or (name == "min_scale" and value == 0):
                opening, closing = "(" if name == "min_scale" else "[", ")" if name == "max_aspect" else "]"
                raise ValueError(f"{name}: expected a number in {opening}{low:g}, {high:g}{closing}, got {value}")


AugmentationName = Literal["paper", "strong"]
AUGMENTATIONS: dict[AugmentationName, Augmentation] = {
    "paper": Augmentation(),
    # Crops of MoCo v2 (arXiv 2003.04297), colour and blur of DINO (arXiv 2104.14294): 0.1 to 2 px in a view of 224 px.
    "strong": Augmentation(
        min_scale=0.2,
        jitter_probability=0.8,
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        blur_probability=0.5,
        min_blur=0.1 / 224,
        max_blur=2 / 224,
    ),
}


def augmentation_of(name: AugmentationName, min_scale: float | None) -> Augmentation:
    """An augmentation by its name, with another smallest crop where one is given."""
    named = AUGMENTATIONS[name]
    return named if min_scale is None else replace(named, min_scale=min_scale)


def random_view(seed: int, epoch: int, index: int, image_size: tuple[int, int], augmentation: Augmentation) -> View:
    """Draw one view; crop and flip do not depend on whether colours and blur are drawn.

    The crop's sides follow from the area and the aspect that are drawn, and are then clipped to the image's: of an
    elongated image a crop can hold less than the area drawn, also less than `min_scale`.

    Args:
        seed, epoch, index: what the view depends on, beside the image's size; nothing else does. 0 or more; epochs
            below 2**24, indices below 2**40.
        image_size: (H, W) of the source in px.
        augmentation: what to draw from.
    """
    uniform = np.random.Generator(np.random.Philox(key=[seed, (epoch << 40) + index])).random(12).tolist()
    image_height, image_width = image_size
    area = image_height * image_width * (augmentation.min_scale + (1 - augmentation.min_scale) * uniform[0])
    aspect = math.exp(math.log(augmentation.max_aspect) * (2 * uniform[1] - 1))
    height = min(image_height, max(1, round(math.sqrt(area / aspect))))
    width = min(image_width, max(1, round(math.sqrt(area * aspect))))
    top = int(uniform[2] * (image_height - height + 1))
    left = int(uniform[3] * (image_width - width + 1))
    flip = uniform[4] < augmentation.flip
    brightness, contrast, saturation, hue, blur = 1.0, 1.0, 1.0, 0.0, 0.0
    if uniform[5] < augmentation.jitter_probability:
        brightness += augmentation.brightness * (2 * uniform[6] - 1)
        contrast += augmentation.contrast * (2 * uniform[7] - 1)
        saturation += augmentation.saturation * (2 * uniform[8] - 1)
        hue = augmentation.hue * (2 * uniform[9] - 1)
    if uniform[10] < augmentation.blur_probability:
        blur = augmentation.min_blur + (augmentation.max_blur - augmentation.min_blur) * uniform[11]
    return View(top, left, height, width, flip, brightness, contrast, saturation, hue, blur)


def render(image: Tensor, view: View, size_px: int, interpolation: Interpolation = "bilinear") -> Tensor:
    """(3, H, W) uint8 -> the view as (3, size_px, size_px) uint8.

    Crop, resize with antialiasing, mirror, brightness, contrast, saturation, hue, blur, in this order; colours as
    torchvision changes them, in float, rounded once. An image whose memory is (H, W, 3) is rendered fastest.

    Raises:
        ValueError: the box does not lie inside the image.
    """
    _, image_height, image_width = image.shape
    bottom, right = view.top + view.height, view.left + view.width
    if not (0 <= view.top < bottom <= image_height and 0 <= view.left < right <= image_width):
        raise ValueError(
            f"view: rows {view.top}:{bottom}, columns {view.left}:{right} are not inside an image of "
            f"{image_height}x{image_width} px; a view belongs to the image that it was drawn for"
        )
    box = (view.top, view.left, view.height, view.width)
    rendered = tvf.resized_crop(image, *box, [size_px, size_px], InterpolationMode(interpolation), antialias=True)
    if view.flip:
        rendered = tvf.horizontal_flip(rendered)
    sigma_px = view.blur * size_px
    untouched = (view.brightness, view.contrast, view.saturation, view.hue) == (1, 1, 1, 0)
    if untouched and sigma_px < LEAST_BLUR_PX:
        return rendered
    values = rendered.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    if not untouched:
        values = tvf.adjust_brightness(values, view.brightness)
        values = tvf.adjust_contrast(values, view.contrast)
        values = tvf.adjust_saturation(values, view.saturation)
        values = turn_hue(values, view.hue)
    if sigma_px >= LEAST_BLUR_PX:
        values = gaussian_blur(values, sigma_px)
    return values.mul_(255).round_().to(torch.uint8)


def to_row(view: View) -> dict[str, int | float | bool]:
    """The view as plain columns (integers, a bool, float64); `from_row` gives it back exactly."""
    return asdict(view)


def from_row(row: Mapping[str, Any]) -> View:
    """Columns of `to_row`, beside which there may be others, as Python or numpy scalars -> the view."""
    return View(
        top=int(row["top"]),
        left=int(row["left"]),
        height=int(row["height"]),
        width=int(row["width"]),
        flip=bool(row["flip"]),
        brightness=float(row["brightness"]),
        contrast=float(row["contrast"]),
        saturation=float(row["saturation"]),
        hue=float(row["hue"]),
        blur=float(row["blur"]),
    )
