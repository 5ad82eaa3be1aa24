"""Networks side by side: where each puts the images of every class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

SIDE_INCHES = 3.4
LEGEND_INCHES = 1.9
"""Width of an entry of the legend."""
MARKERS = ("o", "^")
"""Of the first ten classes, of the second ten: ten colours are as many as eyes tell apart."""


@dataclass(frozen=True)
class Panel:
    """One network.

    Attributes:
        name: how its column is called.
        points: (N, 2).
        accuracy: share in [0, 1] of images that their nearest neighbours label rightly.
    """

    name: str
    points: np.ndarray
    accuracy: float


def draw_classes(
    path: Path, panels: Sequence[Panel], labels: np.ndarray, names: Sequence[str], neighbours: int
) -> None:
    """Write a PNG, whole or not at all: a panel a network, a legend of classes.

    Args:
        labels: (N,), each a place in `names`.
        names: of the classes, at most 20.
        neighbours: of which `Panel.accuracy` tells.
    """
    width = max(2, len(panels)) * SIDE_INCHES
    figure = Figure(figsize=(width, SIDE_INCHES + 1.1), layout="constrained", dpi=120)
    plain = [name.replace("$", r"\$") for name in names]  # matplotlib reads a formula between two of them
    grid = figure.subplots(1, len(panels), squeeze=False)
    handles = {}
    for axes, panel in zip(grid[0], panels, strict=True):
        for place, name in enumerate(plain):
            shown = panel.points[labels == place]
            colour, marker = colormaps["tab10"](place % 10), MARKERS[place // 10]
            handles[name] = axes.scatter(
                shown[:, 0], shown[:, 1], s=9, color=colour, marker=marker, linewidths=0, alpha=0.85
            )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"{panel.name}\n{neighbours}-NN {100 * panel.accuracy:.1f} %", fontsize=9)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=min(len(names), int(width / LEGEND_INCHES)),
        fontsize=8,
        markerscale=2,
        frameon=False,
    )
    partial = path.with_name(f".{path.name}.partial")
    figure.savefig(partial, format="png")
    partial.replace(path)
