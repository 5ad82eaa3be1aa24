"""What a camera does to an image, as a pure function of (seed, index).

Severity 3 of 5 of ImageNet-C (Hendrycks & Dietterich, arXiv 1903.12261; constants of its published code), whose images
are 224 px wide: the blur is scaled to the side of the image.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

CORRUPTIONS = ("blur", "noise", "brightness")
BLUR_SIGMA = 3 / 224
"""Standard deviation of the Gaussian, as a share of the image's shorter side."""
NOISE_STD = 0.18
"""Standard deviation of the Gaussian noise on pixels in [0, 1]."""
BRIGHTNESS = 0.3
"""Added to the value channel of HSV in [0, 1]."""


def corrupted(image: Tensor, seed: int, index: int) -> dict[str, Tensor]:
    """(3, H, W) uint8 RGB -> the image under each of CORRUPTIONS, (3, H, W) uint8.

    Args:
        seed, index: what the noise depends on; nothing else does.
    """
    return {"blur": blur(image), "noise": noise(image, seed, index), "brightness": brightness(image)}


def blur(image: Tensor) -> Tensor:
    """(3, H, W) uint8 -> convolved with a Gaussian that is cut off at 3 sigma."""
    sigma_px = BLUR_SIGMA * min(image.shape[-2:])
    kernel_px = 2 * math.ceil(3 * sigma_px) + 1
    return tvf.gaussian_blur(image, [kernel_px, kernel_px], [sigma_px, sigma_px])


def noise(image: Tensor, seed: int, index: int) -> Tensor:
    """(3, H, W) uint8 -> with Gaussian noise, another in every channel and pixel."""
    generator = np.random.Generator(np.random.Philox(key=[seed, index]))
    normal = torch.from_numpy(generator.standard_normal(tuple(image.shape), dtype=np.float32))
    return _to_uint8(image / 255 + NOISE_STD * normal)


def brightness(image: Tensor) -> Tensor:
    """(3, H, W) uint8 -> with a higher HSV value; hue and saturation stay, black turns grey."""
    pixels = image / 255
    value = pixels.amax(dim=0, keepdim=True)  # (1, H, W), the V of HSV
    brighter = (value + BRIGHTNESS).clamp(max=1)
    return _to_uint8(torch.where(value > 0, pixels * brighter / value.clamp(min=1e-6), brighter))


def _to_uint8(pixels: Tensor) -> Tensor:
    return (255 * pixels).round().clamp(0, 255).to(torch.uint8)
