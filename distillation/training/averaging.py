"""A moving average of the student."""

import torch
from torch import Tensor


def moving_average(decay: float, average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
    """Exponential moving average whose decay rises from 0.1 to `decay`, so that it forgets where it started."""
    if not average.is_floating_point():  # counters
        return current
    updates = torch.as_tensor(updates)
    return torch.lerp(current, average, ((1 + updates) / (10 + updates)).clamp(max=decay).to(average))
