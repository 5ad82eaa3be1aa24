"""What changes over the run: learning rate, image size."""

import math


def lr_factor(step: int, steps: int, warmup_share: float) -> float:
    """Factor on the learning rate at a step: linear warm-up, then a cosine to 0."""
    warmup = max(1, round(steps * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def image_size_at(epoch: int, epochs: int, first_px: int, last_px: int) -> int:
    """Side in px in an epoch: from first_px in steps of 16 px; last_px for the last third, at least the last epoch."""
    growing = epochs * 2 // 3
    return first_px + int((last_px - first_px) * (epoch / growing)) // 16 * 16 if epoch < growing else last_px
