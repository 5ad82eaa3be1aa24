"""Feature maps -> colours of their first three principal components."""

import torch
from torch import Tensor

TAIL = 0.01
"""Share of positions at either end of a component that is as dark, or as bright, as can be."""


def pca_colours(maps: Tensor) -> Tensor:
    """(B, C, h, w), any float -> (B, h, w, 3) float32 in [0, 1]: what is alike has one colour, in all B images.

    The components are those of all positions of all images together, largest variance in red, then green, then blue,
    each from its 1st to its 99th percentile. Where a component's sign is free, its largest weight is positive, so that
    the same maps always get the same colours. Colours of different networks have nothing to do with each other. A
    component without variance is 0.5 everywhere.

    Raises:
        ValueError: another layout, or values that are not finite.
    """
    if maps.ndim != 4 or maps.shape[1] < 1:
        raise ValueError(f"maps: expected (B, C, h, w), got {tuple(maps.shape)}")
    if not maps.isfinite().all():
        raise ValueError("maps: expected finite numbers, got some that are not")
    batch, channels, height, width = maps.shape
    positions = maps.movedim(1, -1).reshape(-1, channels).double().cpu()  # (N, C)
    positions = positions - positions.mean(dim=0)
    variances, vectors = torch.linalg.eigh(positions.T @ positions)  # ascending
    taken = min(3, channels)
    axes = vectors[:, -taken:].flip(1)  # (C, taken)
    signs = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    scores = positions @ (axes * signs)  # (N, taken)
    seen = variances[-taken:].flip(0) > 1e-12 * variances[-1].clamp(min=1e-300)
    colours = torch.full((len(positions), 3), 0.5, dtype=torch.float64)
    for component in range(taken):
        if seen[component]:
            low, high = scores[:, component].quantile(torch.tensor([TAIL, 1 - TAIL], dtype=torch.float64))
            if high > low:
                colours[:, component] = ((scores[:, component] - low) / (high - low)).clamp(0, 1)
    return colours.float().reshape(batch, height, width, 3)
