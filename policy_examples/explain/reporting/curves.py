"""Draws lines over a quantity as inline SVG, in the page's own colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log10

from policy_examples.explain.reporting.elements import Html, element, join
from policy_examples.explain.reporting.ticks import linear_ticks, log_ticks, tick_text

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 62, 452, 30, 226
"""Of the area in which lines run; what is outside holds the axes' texts."""
MOST_POINTS = 300
COLOURS = 8
"""How many the style sheet has; further lines begin again, and differ by their dashes."""


@dataclass(frozen=True)
class Line:
    """Points of one line, in the order of x."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    band: Sequence[tuple[float, float]] = ()
    """Lower and upper end of each point's interval."""
    dots: bool = False
    """Mark the points, because there are few."""
    colour: int = 0
    """The run's place among the runs: the same everywhere in a page."""


@dataclass(frozen=True)
class Axes:
    """What a chart shows, and between which values."""

    x: str
    y: str
    log: bool = False
    limits: tuple[float, float] | None = None
    """Of y; None: what the lines need."""
    percent: bool = False
    """y is a share in [0, 1], written in percent."""


def chart(lines: Sequence[Line], axes: Axes, description: str) -> Html:
    """An SVG of the lines that have a point; `description` is what somebody who does not see it is told.

    Raises:
        ValueError: no line has a point that can be drawn.
    """
    lines = [drawable(line, axes.log) for line in lines]
    lines = [line for line in lines if line.xs]
    if not lines:
        raise ValueError(f"lines: expected a point that can be drawn in {axes.y!r}, got none.")
    place = _Scale.of(lines, axes)
    parts = [_grid(place, axes), *(_draw(line, place) for line in lines)]
    title = f"{axes.y} over {axes.x}. {description}"
    return element("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title, class_="chart")


def legend(lines: Sequence[Line]) -> Html:
    """Names beside a piece of their lines; HTML, so that they wrap on a phone."""
    entries = []
    for line in lines:
        piece = element("line", x1=1, x2=27, y1=6, y2=6, class_=f"line {stroke(line.colour)}")
        swatch = element("svg", piece, viewBox="0 0 28 12", width=28, height=12, aria_hidden="true")
        entries.append(element("li", swatch, element("span", line.name)))
    return element("ul", *entries, class_="legend")


def stroke(colour: int) -> str:
    """Classes of a line: its colour, its dashes."""
    return f"s{colour % COLOURS} d{(colour + colour // COLOURS) % 4}"


def drawable(line: Line, log: bool) -> Line:
    """The line without points that have no place, and with no more points than a picture shows: means of neighbours."""
    kept = [
        place
        for place, (x, y) in enumerate(zip(line.xs, line.ys, strict=True))
        if isfinite(x) and isfinite(y) and (y > 0 or not log)
    ]
    size = -(-len(kept) // MOST_POINTS) or 1
    groups = [kept[start : start + size] for start in range(0, len(kept), size)]

    def means(values: Sequence[float]) -> list[float]:
        return [sum(values[place] for place in group) / len(group) for group in groups]

    band = [line.band[place] for place in kept] if line.band and size == 1 else []
    return Line(line.name, means(line.xs), means(line.ys), band, line.dots, line.colour)


@dataclass(frozen=True)
class _Scale:
    """From values to places in the SVG."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log: bool

    @classmethod
    def of(cls, lines: Sequence[Line], axes: Axes) -> "_Scale":
        xs = [x for line in lines for x in line.xs]
        ys = [y for line in lines for y in [*line.ys, *(end for ends in line.band for end in ends)]]
        low, high = axes.limits or (min(ys), max(ys))
        if low == high:
            low, high = (low / 2, high * 2) if axes.log else (low - 0.5, high + 0.5)
        x_low, x_high = min(0.0, *xs), max(xs)
        return cls(x_low, x_high if x_high > x_low else x_low + 1, low, high, axes.log)

    def x(self, value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        low, high = self.y_low, self.y_high
        if self.log:
            low, high, value = log10(low), log10(high), log10(value)
        return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)


def _grid(place: _Scale, axes: Axes) -> Html:
    """Ticks with their texts, names of the axes."""
    ys = (log_ticks if place.log else linear_ticks)(place.y_low, place.y_high)
    parts = []
    for value in ys:
        at = f"{place.y(value):.1f}"
        text = f"{100 * value:.3g} %" if axes.percent else tick_text(value)
        parts.append(element("line", x1=LEFT, x2=RIGHT, y1=at, y2=at, class_="grid"))
        parts.append(element("text", text, x=LEFT - 6, y=at, dy="0.35em", text_anchor="end"))
    for value in linear_ticks(place.x_low, place.x_high):
        at = f"{place.x(value):.1f}"
        parts.append(element("line", x1=at, x2=at, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"))
        anchor = "end" if place.x(value) > RIGHT - 8 else "middle"
        parts.append(element("text", tick_text(value), x=at, y=BOTTOM + 19, text_anchor=anchor))
    parts.append(element("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis"))
    parts.append(element("text", axes.y, x=0, y=13, class_="name"))
    parts.append(element("text", axes.x, x=RIGHT, y=HEIGHT - 6, text_anchor="end", class_="name"))
    return element("g", *parts, aria_hidden="true")


def _draw(line: Line, place: _Scale) -> Html:
    points = " ".join(f"{place.x(x):.1f},{place.y(y):.1f}" for x, y in zip(line.xs, line.ys, strict=True))
    parts = []
    if line.band:
        ends = list(zip(line.xs, line.band, strict=True))
        ring = [(x, low) for x, (low, _) in ends] + [(x, high) for x, (_, high) in reversed(ends)]
        around = " ".join(f"{place.x(x):.1f},{place.y(y):.1f}" for x, y in ring)
        parts.append(element("polygon", points=around, class_=f"band s{line.colour % COLOURS}"))
    parts.append(element("polyline", points=points, class_=f"line {stroke(line.colour)}"))
    if line.dots or len(line.xs) == 1:
        for x, y in zip(line.xs, line.ys, strict=True):
            dot = {"cx": f"{place.x(x):.1f}", "cy": f"{place.y(y):.1f}", "r": 4}
            parts.append(element("circle", **dot, class_=f"dot s{line.colour % COLOURS}"))
    return join(parts, "")
