"""DP3's point encoder: point clouds -> features."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from policy_examples.normalizer import LimitsNormalizer

WIDTHS = (3, 64, 128, 256)
FEATURES = 64


class PointNet(nn.Module):
    """A shared MLP 3-64-128-256 with layer norm, the maximum over points, a projection to 64 (DP3, arXiv 2403.03954).

    Sizes, norms and the mapping of each coordinate's limits to [-1, 1] are those of DP3's published configuration
    (`dp3.yaml`, `pointnet_extractor.py`, `metaworld_dataset.py`); it starts from random weights there too.
    """

    num_features = FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.limits = LimitsNormalizer(WIDTHS[0])
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(WIDTHS):
            layers += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU()]
        self.points = nn.Sequential(*layers)
        self.projection = nn.Sequential(nn.Linear(WIDTHS[-1], FEATURES), nn.LayerNorm(FEATURES))

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, 3) float32, in metres -> (B, 64); the order of the points does not matter.

        Raises:
            ValueError: another layout or dtype, no points.
        """
        require_points(points)
        return self.projection(self.points(self.limits.normalize(points)).amax(dim=1))

    def fit(self, points: Tensor) -> None:
        """Take the limits of points (N, P, 3), all frames of all demonstrations."""
        require_points(points)
        self.limits.fit(points.flatten(0, 1))


def require_points(points: Tensor) -> None:
    """Refuse what is no (B, N, 3) clouds of floats; raises ValueError."""
    shape = tuple(points.shape)
    if points.ndim != 3 or shape[-1] != 3 or points.numel() == 0:
        raise ValueError(f"points: expected (B, N, 3), x y z of at least one point, got {shape}; leave colours out")
    if points.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise ValueError(f"points: expected float32 in metres, got {points.dtype}; use points.float()")
