"""Draws rates with their intervals on rails from 0 to 100 %."""

from collections.abc import Sequence
from dataclasses import dataclass

from policy_examples.envs.published import PUBLISHED
from policy_examples.explain.reporting.curves import COLOURS
from policy_examples.explain.reporting.elements import Html, element, html, join, listing, paragraph
from policy_examples.explain.reporting.successes import percent, percent_range

HEIGHT_PX = 24


@dataclass(frozen=True)
class Track:
    """A rate in [0, 1] with its interval; `marks` are published numbers of the same task."""

    name: object
    rate: float
    interval: tuple[float, float] | None
    note: str
    """What was counted."""
    colour: int
    task: str = ""
    """Whose published numbers are marked; empty, or a task without them: none."""


def tracks(items: Sequence[Track]) -> Html:
    """A list of rails; every number in them is in the text too."""
    rails = [element("li", _words(item), _rail(item)) for item in items]
    ends = element(
        "div", *(element("span", text) for text in ("0 %", "50 %", "100 %")), class_="ends", aria_hidden="true"
    )
    return join([element("ul", *rails, class_="tracks"), ends, _key(items)])


def published_cells(task: str) -> tuple[str, str]:
    """("100 %", "45 to 48 %"): DP3, Diffusion Policy on images; empty for a task without published numbers."""
    if task not in PUBLISHED:
        return "", ""
    low, high = PUBLISHED[task].image_dp
    return f"{PUBLISHED[task].dp3} %", f"{low} %" if low == high else f"{low} to {high} %"


def published_text(task: str) -> str:
    """ "DP3 100 %, image Diffusion Policy 45 to 48 %"."""
    return "DP3 {}, image Diffusion Policy {}".format(*published_cells(task))


def _words(item: Track) -> Html:
    number = element("strong", percent(item.rate))
    between = f" ({percent_range(*item.interval)})" if item.interval else ""
    value = element("span", number, between, class_="value")
    parts = [element("span", item.name, class_="what"), value, element("span", item.note, class_="note")]
    return element("div", join(parts, " "))


def _rail(item: Track) -> Html:
    middle, colour = HEIGHT_PX / 2, f"s{item.colour % COLOURS}"
    parts = [element("line", x1="0%", x2="100%", y1=middle, y2=middle, class_="rail")]
    parts += [
        element("line", x1=f"{at}%", x2=f"{at}%", y1=middle - 3, y2=middle + 3, class_="rail")
        for at in range(0, 101, 25)
    ]
    if item.interval:
        low, high = (f"{100 * end:.1f}%" for end in item.interval)
        parts.append(element("line", x1=low, x2=high, y1=middle, y2=middle, class_=f"reach {colour}"))
    if item.task in PUBLISHED:
        published = PUBLISHED[item.task]
        low, high = (f"{end}%" for end in published.image_dp)
        parts.append(element("line", x1=low, x2=high, y1=HEIGHT_PX - 3, y2=HEIGHT_PX - 3, class_="image-dp"))
        parts.append(
            element("line", x1=f"{published.dp3}%", x2=f"{published.dp3}%", y1=1, y2=HEIGHT_PX - 1, class_="dp3")
        )
    parts.append(element("circle", cx=f"{100 * item.rate:.1f}%", cy=middle, r=6, class_=f"dot {colour}"))
    return element("svg", *parts, width="100%", height=HEIGHT_PX, aria_hidden="true")


def _key(items: Sequence[Track]) -> Html:
    """What the marks are; nothing where there are none."""
    tasks = dict.fromkeys(item.task for item in items if item.task in PUBLISHED)
    if not tasks:
        return html("")
    across = HEIGHT_PX / 2
    dp3 = element("line", x1=14, x2=14, y1=1, y2=HEIGHT_PX - 1, class_="dp3")
    image = element("line", x1=8, x2=20, y1=across, y2=across, class_="image-dp")
    size = {"width": 28, "height": HEIGHT_PX, "aria_hidden": "true"}
    marks = [
        join([element("svg", dp3, **size), element("span", "DP3 on point clouds, as published")], ""),
        join([element("svg", image, **size), element("span", "Diffusion Policy on images, as published")], ""),
    ]
    said = "; ".join(f"{task}: {published_text(task)}" for task in tasks)
    note = paragraph(f"Published by DP3 (arXiv 2403.03954): {said}.", class_="note")
    return join([listing(marks, class_="legend"), note])
