"""Maps each dimension's limits to [-1, 1]."""

import torch
from torch import Tensor, nn

CONSTANT = 1e-4
"""A dimension whose limits lie no farther apart has never varied: DP3's threshold. What is read must not divide by the
noise of a sensor; what is executed stays within its limits, however near they are."""


class LimitsNormalizer(nn.Module):
    """Per-dimension limits that travel in the state dict of the policy.

    A dimension that never varied maps to 0 with unit scale, and back to nothing but what it was: a policy's error in it
    must not move a joint that no demonstration moved.
    """

    low: Tensor
    high: Tensor

    def __init__(self, size: int, constant: float = CONSTANT) -> None:
        super().__init__()
        self.constant = constant
        self.register_buffer("low", torch.full((size,), -1.0))
        self.register_buffer("high", torch.full((size,), 1.0))

    @torch.no_grad()
    def fit(self, values: Tensor) -> None:
        """Take the limits of values (N, D)."""
        if values.ndim != 2 or values.shape[1] != len(self.low):
            raise ValueError(f"values: expected (N, {len(self.low)}), got {tuple(values.shape)}.")
        self.low.copy_(values.amin(0))
        self.high.copy_(values.amax(0))

    def normalize(self, values: Tensor) -> Tensor:
        """(..., D), units of the data -> (..., D), [-1, 1] within the fitted limits."""
        constant = self.high - self.low <= self.constant
        low = torch.where(constant, (self.high + self.low) / 2 - 1, self.low)
        width = torch.where(constant, 2.0, self.high - self.low)
        return (values - low) / width * 2 - 1

    def denormalize(self, values: Tensor) -> Tensor:
        """(..., D), [-1, 1] -> (..., D), units of the data within the fitted limits."""
        return (values + 1) / 2 * (self.high - self.low) + self.low
