"""One picture of a scorecard beside others."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

PANELS = {
    "knn10_percent": "10-NN, %",
    "linear_probe_percent": "linear probe, %",
    "robustness_drop_points": "10-NN points lost to\nblur, noise, brightness",
    "effective_rank": "effective rank",
}
NEEDED = ("encoder", "queries", "image_size_px", "knn10_percent")
ROW_INCHES = 0.36
OURS, OTHERS = "#1f5fa8", "#b9c2cc"


def draw(path: Path, row: Mapping[str, object], beside: Sequence[Mapping[str, object]]) -> None:
    """Write a PNG: a panel for each of PANELS, a line for each encoder, the one of `row` in colour.

    Args:
        row: the scorecard, by column.
        beside: other scorecards; those on the same queries are drawn, the last one of each encoder and image size.

    Raises:
        ValueError: rows that are no scorecards.
    """
    if beside and (missing := [name for name in NEEDED if name not in beside[0]]):
        raise ValueError(f"beside: expected rows of scorecards, they have no column {', '.join(missing)}")
    others = {_title(other): other for other in beside if other["queries"] == row["queries"]}
    others.pop(_title(row), None)
    rows = sorted([row, *others.values()], key=lambda entry: _number(entry["knn10_percent"]))
    colours = [OURS if entry is row else OTHERS for entry in rows]
    figure = Figure(figsize=(11, 1.3 + ROW_INCHES * len(rows)), dpi=120, layout="constrained")
    figure.suptitle(f"{row['encoder']} on {row['queries']}, {row['query_images']} images", fontsize=11)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        _bars(axes, [_number(entry.get(column)) for entry in rows], colours, title)
    panels[0].set_yticks(range(len(rows)), [_title(entry) for entry in rows], fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    figure.savefig(partial, format="png")
    partial.replace(path)


def _bars(axes: Axes, values: Sequence[float], colours: Sequence[str], title: str) -> None:
    """Horizontal bars, each with its number; a dash where it was not measured."""
    measured = [not math.isnan(value) for value in values]
    bars = axes.barh(range(len(values)), [v if m else 0 for v, m in zip(values, measured, strict=True)], color=colours)
    axes.bar_label(
        bars, [f"{v:.1f}" if m else "–" for v, m in zip(values, measured, strict=True)], padding=3, fontsize=8
    )
    axes.set_title(title, fontsize=9, loc="left")
    axes.margins(x=0.18)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _title(row: Mapping[str, object]) -> str:
    return f"{row['encoder']}, {row['image_size_px']} px"


def _number(cell: object) -> float:
    """A cell as text or number -> its value, NaN where it is empty."""
    return math.nan if cell in (None, "") else float(str(cell))
