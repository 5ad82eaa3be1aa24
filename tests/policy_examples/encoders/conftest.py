"""Frames for the tests of encoders, and their pixels as reference implementations want them."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture
def frames():
    """(2, 1, 3, 48, 48) uint8, smooth, so that resampling loses nothing."""
    low = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    return (tvf.resize(low, [48, 48], antialias=True) * 255).to(torch.uint8)[:, None]


@pytest.fixture
def prepared():
    """(frames, side, interpolation, (mean, std)) -> (B * T, 3, side, side), by torchvision's functions."""

    def prepare(frames: Tensor, side: int, interpolation: str, statistics=IMAGENET) -> Tensor:
        pixels = tvf.to_dtype(frames.flatten(0, 1), torch.float32, scale=True)
        pixels = tvf.resize(pixels, [side, side], InterpolationMode(interpolation), antialias=True).clamp(0, 1)
        mean, std = map(list, statistics)
        return tvf.normalize(pixels, mean, std)

    return prepare
