"""Hosts that need an environment of their own are tested there: `make test-hosts` names their files."""

from importlib.util import find_spec

import pytest
import torch

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD

collect_ignore = [f"test_{host}.py" for host in ("lerobot", "robomimic", "torchrl") if find_spec(host) is None]


@pytest.fixture(scope="session")
def encoder() -> XDistillResNet18:
    """The bundled weights, frozen batch norm, eval mode."""
    return XDistillResNet18.from_pretrained(norm="frozen")


@pytest.fixture
def pixels():
    """(2, 3, 72, 96) uint8 noise."""
    return torch.randint(0, 256, (2, 3, 72, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def normalised(pixels):
    """The same as a host that applies ImageNet's mean and std hands it on, float32."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels / 255 - mean) / std
