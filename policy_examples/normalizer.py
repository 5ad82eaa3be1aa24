"""Maps each dimension's limits to [-1, 1]."""

import torch
from torch import Tensor, nn


class LimitsNormalizer(nn.Module):
    """Per-dimension limits that travel in the state dict of the policy.

    A dimension that never varied maps to 0 with unit scale.
    """

    low: Tensor
    high: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.full((size,), -1.0))
        self.register_buffer("high", torch.full((size,), 1.0))

    @torch.no_grad()
    def fit(self, values: Tensor) -> None:
        """Take the limits of values (N, D)."""
        if values.ndim != 2 or values.shape[1] != len(self.low):
            raise ValueError(f"values: expected (N, {len(self.low)}), got {tuple(values.shape)}.")
        low, high = values.amin(0), values.amax(0)
        constant = high - low < 1e-4
        centre = (high + low) / 2
        self.low.copy_(torch.where(constant, centre - 1, low))
        self.high.copy_(torch.where(constant, centre + 1, high))

    def normalize(self, values: Tensor) -> Tensor:
        """(..., D), units of the data -> (..., D), [-1, 1] within the fitted limits."""
        return (values - self.low) / (self.high - self.low) * 2 - 1

    def denormalize(self, values: Tensor) -> Tensor:
        """(..., D), [-1, 1] -> (..., D), units of the data."""
        return (values + 1) / 2 * (self.high - self.low) + self.low
