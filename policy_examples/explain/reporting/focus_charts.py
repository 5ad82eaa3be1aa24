"""Draws how much of saliency lies on task objects, and how spread it is, over an episode."""

from collections.abc import Sequence
from math import ceil

from policy_examples.explain.reporting.curves import Axes, Line, chart, legend
from policy_examples.explain.reporting.elements import Html, element, figure, html, join

STEP = "step of the episode"


def focus_charts(rows: Sequence[dict[str, str]]) -> Html:
    """A chart of shares with the objects' own area, one of entropies; each only where the rows have numbers.

    Args:
        rows: of saliency.csv: step, method, encoder, share, area, entropy; cells may be empty.
    """
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(f"{row['encoder']}, {row['method']}", []).append(row)
    rated = {name: [row for row in its if row["share"] and float(row["area"] or 0)] for name, its in groups.items()}
    shares = [_line(name, its, "share", place) for place, (name, its) in enumerate(rated.items())]
    entropies = [_line(name, its, "entropy", place) for place, (name, its) in enumerate(groups.items())]
    area = _areas(rated)
    charts = []
    if any(line.xs for line in shares):
        lines = [*shares, *area]
        top = max(y for line in lines for y in line.ys)
        axes = Axes(STEP, "share on task objects", limits=(0.0, min(1.0, 1.1 * top) or 1.0), percent=True)
        caption = f"Share of the saliency on task objects. Means: {_means(lines)}."
        charts.append(figure(chart(lines, axes, caption), caption))
    if any(line.xs for line in entropies):
        caption = f"Entropy of the saliency: 1 is even, 0 a single pixel. Means: {_means(entropies)}."
        least = ceil(10 * min(y for line in entropies for y in line.ys)) / 10 - 0.1
        axes = Axes(STEP, "entropy", limits=(max(0.0, least), 1.0))
        charts.append(figure(chart(entropies, axes, caption), caption))
    if not charts:
        return html("")
    return join([legend([line for line in (*entropies, *area) if line.xs]), element("div", *charts, class_="grid")])


def _areas(rated: dict[str, list[dict[str, str]]]) -> list[Line]:
    """The objects' area, once where all encoders see alike much of it, else once for each way to crop a frame."""
    found: dict[tuple[tuple[str, str], ...], str] = {}
    for name, rows in rated.items():
        found.setdefault(tuple((row["step"], row["area"]) for row in rows), name)
    several = len(found) > 1
    return [
        _line(f"area of the objects{f' as {name} sees it' if several else ''}", rated[name], "area", len(rated) + place)
        for place, name in enumerate(found.values())
    ]


def _line(name: str, rows: Sequence[dict[str, str]], column: str, colour: int) -> Line:
    """The rows that have a number."""
    there = [row for row in rows if row[column]]
    return Line(name, [float(row["step"]) for row in there], [float(row[column]) for row in there], colour=colour)


def _means(lines: Sequence[Line]) -> str:
    return "; ".join(f"{line.name} {sum(line.ys) / len(line.ys):.2f}" for line in lines if line.ys)
