"""Changes of one image's values that leave its geometry alone."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def turn_hue(image: Tensor, turn: float) -> Tensor:
    """(3, H, W) float RGB in [0, 1] with every hue turned by `turn` revolutions; value and saturation stay.

    The function of `torchvision.transforms.v2.functional.adjust_hue` without its tables: in HSV, a channel lies
    above the smallest of the three by a trapezium of the hue's distance from that channel's own (red 0, green 2,
    blue 4 of 6).
    """
    red, green, blue = image
    largest = torch.maximum(torch.maximum(red, green), blue)
    smallest = torch.minimum(torch.minimum(red, green), blue)
    chroma = largest - smallest
    scale = chroma.clamp(min=1e-6).reciprocal_()  # a grey pixel has chroma 0, so its hue is of no account
    from_red = (green - blue).mul_(scale)
    from_green = (blue - red).mul_(scale).add_(2)
    from_blue = (red - green).mul_(scale).add_(4)
    hue = torch.where(largest == red, from_red, torch.where(largest == green, from_green, from_blue))  # [-1, 5]
    distance = torch.stack([hue + (6 * turn - own) for own in (0, 2, 4)])
    distance.sub_((distance / 6).round_(), alpha=6).abs_()  # on the circle: [0, 3]
    return (2 - distance).clamp_(0, 1).mul_(chroma).add_(smallest)


def gaussian_blur(image: Tensor, sigma_px: float) -> Tensor:
    """(C, H, W) float, smoothed by a Gaussian that is cut at 3 standard deviations, mirrored at the borders.

    Args:
        sigma_px: standard deviation above 0; its triple, rounded up, is less than H and W.
    """
    _, height, width = image.shape
    reach = math.ceil(3 * sigma_px)
    weights = [math.exp(-0.5 * (offset / sigma_px) ** 2) for offset in range(reach + 1)]
    whole = weights[0] + 2 * sum(weights[1:])
    centre, *sides = [weight / whole for weight in weights]
    padded = F.pad(image[None], (reach, reach, reach, reach), mode="reflect")[0]
    columns = padded[:, reach : reach + height] * centre
    for offset, weight in enumerate(sides, 1):  # shifted sums: several times as fast as a depthwise convolution
        for start in (reach - offset, reach + offset):
            columns.add_(padded[:, start : start + height], alpha=weight)
    blurred = columns[:, :, reach : reach + width] * centre
    for offset, weight in enumerate(sides, 1):
        for start in (reach - offset, reach + offset):
            blurred.add_(columns[:, :, start : start + width], alpha=weight)
    return blurred
