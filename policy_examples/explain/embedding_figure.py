"""Encoders side by side: where each puts the frames of every stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.explain.silhouette import Score
from policy_examples.explain.staged_frames import Stage
from policy_examples.whole_files import whole

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's, told apart by most eyes."""
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
SIDE_INCHES = 3.2
LEGEND_INCHES = 2.1
"""Width of an entry of the legend."""


@dataclass(frozen=True)
class Panel:
    """One cloud of points.

    Attributes:
        points: (F, 2).
        score: of the encoder's own features, not of the points.
        drawn_score: of the points.
        note: what else there is to say, or "".
    """

    points: np.ndarray
    score: Score
    drawn_score: Score
    note: str = ""


def draw_embedding(
    path: Path,
    title: str,
    rows: Sequence[str],
    encoders: Sequence[tuple[str, Sequence[Panel]]],
    labels: np.ndarray,
    stages: Sequence[Stage],
) -> None:
    """Write a PNG, whole or not at all: an encoder a column, a projection a row, a legend of stages.

    Args:
        rows: names of the projections.
        encoders: (name, a panel a projection) each.
        labels: (F,), the stage of each point, a place in `stages`.
    """
    from matplotlib.figure import Figure

    looks = [look(stage, stages) for stage in stages]
    width = max(6.5, SIDE_INCHES * len(encoders))
    figure = Figure(figsize=(width, SIDE_INCHES * len(rows) + 1.5), layout="constrained", dpi=120)
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(rows), len(encoders), squeeze=False)
    for column, (name, panels) in enumerate(encoders):
        for row, panel in enumerate(panels):
            axes = grid[row, column]
            for place, (colour, marker) in enumerate(looks):
                shown = panel.points[labels == place]
                axes.scatter(shown[:, 0], shown[:, 1], s=14, c=colour, marker=marker, linewidths=0, alpha=0.8)
            axes.set_xticks([])
            axes.set_yticks([])
            head = f"{name}\nsilhouette of the features {panel.score}\n" if row == 0 else ""
            axes.set_title(f"{head}in this picture {panel.drawn_score}", fontsize=8)
            if panel.note:
                axes.set_xlabel(panel.note, fontsize=7)
    for row, name in enumerate(rows):
        grid[row, 0].set_ylabel(name, fontsize=10)
    handles = [key(colour, marker) for colour, marker in looks]
    names = [f"{stage.task}, stage {stage.number} of {stage.of}" for stage in stages]
    figure.legend(
        handles, names, loc="outside lower center", ncols=min(len(names), int(width / LEGEND_INCHES)), fontsize=8
    )
    with whole(path) as partial:
        figure.savefig(partial)


def look(stage: Stage, stages: Sequence[Stage]) -> tuple[str, str]:
    """Colour and marker: of one task both tell the stage; of several, the colour tells the task."""
    tasks = list(dict.fromkeys(other.task for other in stages))
    colour = tasks.index(stage.task) if len(tasks) > 1 else stage.number - 1
    turn = 0 if len(tasks) > 1 else (stage.number - 1) // len(COLOURS)  # past the last colour, the next marker
    return COLOURS[colour % len(COLOURS)], MARKERS[(stage.number - 1 + turn) % len(MARKERS)]


def key(colour: str, marker: str) -> Any:
    """A point of the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, marker=marker, linestyle="", markersize=6)
