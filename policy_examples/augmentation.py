"""Random crops and colours of the images that a policy learns from."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from policy_examples.policy_shape import sides

Pixels = TypeVar("Pixels", Tensor, np.ndarray)
DRAWS = 6
"""Numbers in [0, 1) that one augmented window takes: top, left, brightness, contrast, saturation, hue."""
HUE_TURN = 0.25
"""Share of the colour circle by which strength 1 turns hues at most."""
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
"""RGB -> luminance, two chrominances (NTSC)."""


@dataclass(frozen=True)
class Augmentation:
    """How images vary; all frames of a window vary together, so that what moves between them is the scene.

    Raises:
        ValueError: a colour strength outside [0, 1].
    """

    crop_px: int | tuple[int, int] | None = None
    """Side of a square, or height and width, at a random place; None: whole frames."""
    colour: float = 0.0
    """Brightness, contrast, saturation are scaled by up to 1 -+ colour, hue turns by up to colour * 90 degrees."""

    def __post_init__(self) -> None:
        if not 0 <= self.colour <= 1:
            raise ValueError(f"colour: expected a strength in [0, 1], got {self.colour}.")

    def draw(self, rows: int, generator: torch.Generator) -> Tensor:
        """(rows, 6) in [0, 1), on the CPU: the randomness of so many windows."""
        return torch.rand(rows, DRAWS, generator=generator)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """(B, To, 3, H, W) uint8, (B, 6) draws on the CPU -> (B, To, 3, h, w) uint8, of the crop's size."""
        pixels = images.movedim(-3, -1)  # (B, To, H, W, 3), the order in which they lie in memory
        if self.crop_px is not None:
            pixels = random_crop(pixels, sides(self.crop_px), draws[:, :2])
        if self.colour > 0:
            pixels = recolour(pixels, self.colour, draws[:, 2:])
        return pixels.movedim(-1, -3)


def random_crop(pixels: Tensor, size_px: tuple[int, int], draws: Tensor) -> Tensor:
    """(B, To, H, W, 3), (B, 2) in [0, 1) -> (B, To, h, w, 3), each row cut at its own place."""
    (height, width), frame = size_px, (pixels.shape[2], pixels.shape[3])
    require_room(size_px, frame)
    places = torch.tensor([frame[0] - height + 1, frame[1] - width + 1])
    corners = (draws * places).long().tolist()
    cut = [
        window[:, top : top + height, left : left + width] for window, (top, left) in zip(pixels, corners, strict=True)
    ]
    return torch.stack(cut)


def recolour(pixels: Tensor, strength: float, draws: Tensor) -> Tensor:
    """(B, To, H, W, 3) uint8, (B, 4) in [0, 1) on the CPU -> the same with other colours.

    Brightness and contrast scale, saturation and hue act on chrominance: together one affine map of RGB a window, in
    which grey stays grey.
    """
    factors = 1 + strength * (2 * draws - 1)  # (B, 4), of which the last serves as an angle
    brightness, contrast, saturation = factors[:, 0, None, None], factors[:, 1, None, None], factors[:, 2]
    angle = 2 * math.pi * HUE_TURN * (factors[:, 3] - 1)
    turned = torch.zeros(len(draws), 3, 3)
    turned[:, 0, 0] = 1
    turned[:, 1, 1] = turned[:, 2, 2] = saturation * angle.cos()
    turned[:, 2, 1] = saturation * angle.sin()
    turned[:, 1, 2] = -turned[:, 2, 1]
    to_yiq = torch.tensor(YIQ)
    mixing = brightness * contrast * (torch.linalg.inv(to_yiq) @ turned @ to_yiq)  # (B, 3, 3)

    values, device = pixels.flatten(1, 3).float(), pixels.device  # (B, To * H * W, 3)
    luminance = (values.mean(1, keepdim=True) * to_yiq[0].to(device)).sum(-1, keepdim=True)  # (B, 1, 1)
    offset = ((1 - contrast) * brightness).to(device) * luminance
    mapped = torch.baddbmm(offset, values, mixing.transpose(1, 2).to(device))
    return mapped.round_().clamp_(0, 255).to(torch.uint8).view_as(pixels)


def centre_crop(images: Pixels, size_px: tuple[int, int]) -> Pixels:
    """(..., H, W) -> (..., h, w), the middle; images of that size stay as they are."""
    (height, width), frame = size_px, (images.shape[-2], images.shape[-1])
    require_room(size_px, frame)
    top, left = (frame[0] - height) // 2, (frame[1] - width) // 2
    return images[..., top : top + height, left : left + width]


def require_room(size_px: tuple[int, int], frame: tuple[int, int]) -> None:
    """Raise a ValueError where a crop is larger than the image, (H, W) both."""
    if size_px[0] > frame[0] or size_px[1] > frame[1]:
        raise ValueError(
            f"crop_px: expected at most the images' {frame[0]} x {frame[1]} px, got {size_px[0]} x {size_px[1]}."
        )
