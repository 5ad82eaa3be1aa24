"""Maps of positions as colours over their picture."""

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tvf

BRIGHTEST = 0.995
"""Quantile of a map that gets the brightest colour: a few positions often stand out far."""


def heat_over(picture: Tensor, saliency: Tensor) -> np.ndarray:
    """The picture in grey, a map over it in colours.

    Args:
        picture: (3, H, W) uint8.
        saliency: (h, w) float, of any size; below 0 counts as 0. Brightness is relative to its own brightest, so that
            two overlays do not compare in strength.

    Returns:
        (H, W, 3) uint8.
    """
    strength = F.interpolate(saliency.float().clamp(min=0)[None, None], picture.shape[1:], mode="bilinear")[0, 0]
    brightest = strength.flatten()[: 2**24].quantile(BRIGHTEST) or strength.max() or 1.0  # quantile takes no more
    strength = (strength / brightest).clamp(0, 1).numpy()
    colours = colormaps["inferno"](0.25 + 0.75 * strength)[..., :3] * 255  # the darkest quarter would look like shadow
    grey = picture.float().mean(dim=0).numpy()[..., None]
    opacity = 0.8 * strength[..., None]
    return ((1 - opacity) * grey + opacity * colours).round().astype(np.uint8)


def colours_beside(colours: Tensor, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) float in [0, 1] -> (H, W, 3) uint8 of size (H, W), its positions as plain squares."""
    scaled = (colours * 255).round().to(torch.uint8).movedim(-1, 0)
    return tvf.resize(scaled, list(size), interpolation=tvf.InterpolationMode.NEAREST).movedim(0, -1).numpy()
