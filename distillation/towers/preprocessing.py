"""How a teacher wants its images: size, resize rule, normalisation."""

import math
from dataclasses import dataclass, replace
from typing import Any, get_args

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from distillation.views import Interpolation

PIL_INTERPOLATIONS: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which transformers writes."""
CONVNEXT_WARP_PX = 384
"""transformers' ConvNeXt processor crops below this size; from it up it distorts the image to the square."""


@dataclass(frozen=True)
class Preprocessing:
    """A teacher's own evaluation transform.

    Attributes:
        image_size: side in px of the square image that the teacher sees.
        resize_px: side in px to which the image is resized before the centre of image_size is cut out.
        keep_aspect: resize_px is the shorter side; otherwise both sides, which distorts the image.
        interpolation: of the resize.
        mean, std: of the channels of images in [0, 1].
        configured_px: image_size as the teacher's configuration has it, whatever size was asked for.
    """

    image_size: int
    resize_px: int
    keep_aspect: bool
    interpolation: Interpolation
    mean: tuple[float, ...]
    std: tuple[float, ...]
    configured_px: int

    def __post_init__(self):
        known = get_args(Interpolation)
        if self.interpolation not in known:
            raise ValueError(f"interpolation: expected one of {', '.join(known)}, got {self.interpolation!r}")

    def prepare(self, image: Tensor) -> Tensor:
        """(3, H, W) uint8 -> (3, image_size, image_size) uint8: resize with antialiasing, then the centre."""
        side = self.resize_px
        size = [side] if self.keep_aspect else [side, side]
        resized = tvf.resize(image, size, interpolation=InterpolationMode(self.interpolation), antialias=True)
        return tvf.center_crop(resized, [self.image_size, self.image_size])

    def at(self, image_size: int | None) -> "Preprocessing":
        """The same transform for images of another side in px, with the same share cropped; None: as it is."""
        if image_size is None:
            return self
        resize_px = math.floor(self.resize_px * image_size / self.image_size)
        return replace(self, image_size=image_size, resize_px=resize_px)


def from_timm(config: dict[str, Any], image_size: int | None) -> Preprocessing:
    """timm's data configuration -> the transform of `timm.data.create_transform`, at the configuration's size where
    image_size is None.

    Raises:
        ValueError: images that are not square, or an interpolation or crop mode that is not known here.
    """
    _, height, width = config["input_size"]
    if height != width:
        raise ValueError(f"input_size: expected square images, the teacher's configuration has {height} x {width} px")
    if config["crop_mode"] not in ("center", "squash"):
        raise ValueError(f"crop_mode: expected center or squash, the teacher's configuration has {config['crop_mode']}")
    side = image_size or height
    return Preprocessing(
        image_size=side,
        resize_px=math.floor(side / config["crop_pct"]),
        keep_aspect=config["crop_mode"] == "center",
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        configured_px=height,
    )


def from_transformers(config: dict[str, Any], image_size: int | None) -> Preprocessing:
    """The entries of a transformers image processor -> its transform, at the processor's size where image_size is None.

    Raises:
        ValueError: images that are not square, or a rule that is not known here.
    """
    if not config.get("do_resize", True) or not config.get("do_rescale", True):
        raise ValueError("do_resize, do_rescale: expected true, the teacher's image processor leaves one of them out")
    if abs(config.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-3:
        raise ValueError(f"rescale_factor: expected 1 / 255, the image processor has {config['rescale_factor']}")
    resample = int(config.get("resample", 2))
    if resample not in PIL_INTERPOLATIONS:
        raise ValueError(
            f"resample: expected 2 (bilinear) or 3 (bicubic), the teacher's image processor has {resample}"
        )
    side, resize_px, keep_aspect = _sizes(config)
    normalized = config.get("do_normalize", True)
    return Preprocessing(
        image_size=side,
        resize_px=resize_px,
        keep_aspect=keep_aspect,
        interpolation=PIL_INTERPOLATIONS[resample],
        mean=tuple(config["image_mean"]) if normalized else (0.0, 0.0, 0.0),
        std=tuple(config["image_std"]) if normalized else (1.0, 1.0, 1.0),
        configured_px=side,
    ).at(image_size)


def _sizes(config: dict[str, Any]) -> tuple[int, int, bool]:
    """(image_size, resize_px, keep_aspect) of an image processor."""
    if "max_num_patches" in config:  # SigLIP 2 NaFlex: as many patches as fit, here those of a square
        side = math.isqrt(config["max_num_patches"]) * config["patch_size"]
        return side, side, True
    size = dict(config["size"])
    shortest = size.get("shortest_edge")
    if shortest is None:
        if "height" not in size or size["height"] != size["width"]:
            raise ValueError(f"size: expected one side or a square, the teacher's image processor has {size}")
        resize_px, keep_aspect = size["height"], False
    elif config.get("crop_pct"):
        warp = shortest >= CONVNEXT_WARP_PX
        return shortest, shortest if warp else int(shortest / config["crop_pct"]), not warp
    else:
        resize_px, keep_aspect = shortest, True
    if not config.get("do_center_crop"):
        return resize_px, resize_px, keep_aspect
    crop = dict(config["crop_size"])
    if crop["height"] != crop["width"]:
        raise ValueError(f"crop_size: expected a square, the teacher's image processor has {crop}")
    return crop["height"], resize_px, keep_aspect
