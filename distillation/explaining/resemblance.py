"""Which positions of an image make its features resemble others."""

import torch
from torch import Tensor
from torch.nn import functional as F


def resemblance_map(feature_map: Tensor, other: Tensor) -> Tensor:
    """The share that each position has in the cosine of pooled features, so that the sum is this cosine.

    A mean over positions is linear in them, so that the cosine between it and other features splits exactly, without
    a gradient (Stylianou et al., arXiv 1901.00536).

    Args:
        feature_map: (C, h, w) float, the last map of an image; its mean over positions is what is compared.
        other: (C,) float, the pooled features that it is compared with.

    Returns:
        (h, w) float32; below 0 where a position makes the two less alike.

    Raises:
        ValueError: shapes that do not belong together, or features that are all 0, which resemble nothing.
    """
    if feature_map.ndim != 3 or other.shape != feature_map.shape[:1]:
        raise ValueError(
            f"expected a map (C, h, w) and features (C,), got {tuple(feature_map.shape)} and {tuple(other.shape)}"
        )
    feature_map, other = feature_map.float(), other.float()
    lengths = feature_map.mean(dim=(1, 2)).norm() * other.norm()
    if lengths == 0:
        raise ValueError("features: expected some that differ from 0, got zeros, which have no direction")
    positions = feature_map.shape[1] * feature_map.shape[2]
    return torch.einsum("chw,c->hw", feature_map, other) / (positions * lengths)


def pixel_saliency(gradient: Tensor) -> Tensor:
    """The gradient of a number by the pixels (3, H, W) -> (H, W): its length over the three colours."""
    return gradient.float().norm(dim=0)


def smoothed(saliency: Tensor, sigma_px: float) -> Tensor:
    """(H, W) -> (H, W), blurred: the gradient of single pixels is noise to the eye."""
    radius = max(1, round(3 * sigma_px))
    radius = min(radius, min(saliency.shape) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma_px**2))
    kernel /= kernel.sum()
    padded = F.pad(saliency[None, None], (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[0, 0]
