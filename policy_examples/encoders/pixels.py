"""How a pretrained network wants its images."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD, check_dtype, check_layout, check_range

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Preparation:
    """What a network's pretraining did to its images.

    The whole frame becomes the square. The evaluation transforms of the originals cut up to an eighth of the border
    away; in a robot's frame the object may lie there. A frame that is no square is distorted.

    Attributes:
        size_px: side of the square.
        patch_px: side of a patch, of which size_px is a multiple; 1 of a convnet.
        interpolation: of the resize, with antialiasing.
        mean, std: of the channels of images in [0, 1].
    """

    size_px: int
    patch_px: int
    interpolation: Interpolation
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.size_px < 32 or self.size_px % self.patch_px:
            raise ValueError(
                f"image_size_px: expected a multiple of {self.patch_px} px, the patch, from 32 up, got {self.size_px}."
            )


class PixelInput(nn.Module):
    """Checked frames -> what the network was pretrained on; accepts and refuses what `XDistillResNet18` does."""

    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        self.preparation = preparation
        self.register_buffer("mean", torch.tensor(preparation.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preparation.std).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), RGB, uint8 in [0, 255] or float in [0, 1] -> (B, 3, S, S), normalised.

        Raises:
            ValueError: another layout, dtype or range (see `xdistill_encoder.images`).
        """
        check_layout(images)
        check_dtype(images, inputs_normalized=False)
        if images.is_floating_point():
            check_range(images, inputs_normalized=False)
            pixels = images.to(self.mean.dtype)
        else:
            pixels = images.to(self.mean.dtype) / 255
        side = self.preparation.size_px
        if pixels.shape[-2:] != (side, side):
            pixels = F.interpolate(pixels, (side, side), mode=self.preparation.interpolation, antialias=True)
            pixels = pixels.clamp(0, 1)  # bicubic weights overshoot at edges; an 8-bit image file cannot
        return (pixels - self.mean) / self.std
