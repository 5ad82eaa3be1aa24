"""What the optimizer changes at which rate."""

import math
from typing import Any

from policy_examples.policy import DiffusionPolicy


def param_groups(
    policy: DiffusionPolicy, lr: float, encoder_lr_multiplier: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups for a torch optimizer: those of the encoders, at `lr * encoder_lr_multiplier`, then the head's at `lr`.

    Each notes its full rate as "full_lr". Frozen encoders have none.
    """
    encoders: Any = policy.encoders
    groups = [group for encoder in encoders for group in encoder.param_groups(lr * encoder_lr_multiplier, weight_decay)]
    head = {"params": list(policy.unet.parameters()), "lr": lr, "weight_decay": weight_decay}
    return [{**group, "full_lr": group["lr"]} for group in (*groups, head)]


def warmup_cosine(step: int, warmup_steps: int, steps: int) -> float:
    """The share of the full learning rate at a step: a linear rise, then a cosine to 0."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))
