import re
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest

from policy_examples.benchmarking.comparison import compare
from policy_examples.benchmarking.figure import COLOURS, FEW, compared_tasks, draw_comparison
from policy_examples.benchmarking.results import Row
from policy_examples.envs.published import PUBLISHED
from tests.policy_examples.benchmarking.rows import row

RATES = {"xdistill": 0.8, "resnet18-scratch": 0.1, "dinov2-s": 0.9, "blind": 0.0}


@pytest.fixture
def drawn(tmp_path):
    """Rows, the reference -> the picture as SVG, in which places and texts can be read."""

    def draw(rows: Sequence[Row], reference: str = "xdistill") -> str:
        draw_comparison(compare(rows), "best", reference, tmp_path / "picture.svg")
        return (tmp_path / "picture.svg").read_text()

    return draw


def texts(picture: str) -> list[str]:
    """What matplotlib draws as outlines and notes as comments."""
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", picture, flags=re.DOTALL)]


def shapes(picture: str, axes: str) -> list[ElementTree.Element]:
    """All that is drawn in "axes_1", on the left, or "axes_2", without the legend."""
    root = ElementTree.fromstring(picture)
    within = next(element for element in root.iter() if element.get("id") == axes)
    legend = {id(each) for part in within.iter() if "legend" in part.get("id", "") for each in part.iter()}
    return [each for each in within.iter() if id(each) not in legend]


def points(picture: str, axes: str, colour: str) -> list[tuple[float, float]]:
    """(x, y) in the picture, y down, of the markers of one colour, where no interval has caps."""
    markers = [each for each in shapes(picture, axes) if f"fill: {colour.lower()}" in each.get("style", "")]
    return [(float(each.attrib["x"]), float(each.attrib["y"])) for each in markers if each.tag.endswith("use")]


def intervals(picture: str) -> tuple[int, int]:
    """How many there are on the left, on the right."""
    left, right = (
        sum(each.get("id", "").startswith("LineCollection") for each in shapes(picture, axes))
        for axes in ("axes_1", "axes_2")
    )
    return left, right


def test_means_stand_at_their_height_place_by_place_in_each_encoders_colour(drawn):
    """Places are the two tasks, then all; what blind does not solve is all here, and has no place of its own."""
    rows = [row(encoder, "reach", 0, rate) for encoder, rate in RATES.items()]
    rows += [row(encoder, "sweep", 0, rate / 2) for encoder, rate in RATES.items()]
    picture = drawn(rows)
    means, heights, places = [], [], []
    for colour, rate in zip(COLOURS, RATES.values(), strict=False):
        found = points(picture, "axes_1", colour)
        places.append([x for x, _ in found])
        means += [rate, rate / 2, 0.75 * rate]
        heights += [y for _, y in found]
    in_order = np.transpose(places).ravel()  # encoder by encoder, place by place
    assert in_order.tolist() == sorted(in_order)
    slope, foot = np.polyfit(means, heights, 1)
    assert slope < 0  # y is down
    np.testing.assert_allclose(heights, slope * np.array(means) + foot, atol=0.01)


def test_differences_lie_to_the_right_of_zero_where_the_reference_is_ahead(drawn):
    picture = drawn([row(encoder, "reach", 0, rate) for encoder, rate in RATES.items()])
    (zero,) = re.findall(r'<path d="M ([\d.]+) [\d.]+ \nL \1 [\d.]+ \n" clip-path=.*?stroke: #000000', picture)
    gaps, places = [0.0], [float(zero)]
    for colour, (name, rate) in list(zip(COLOURS, RATES.items(), strict=False))[1:]:
        if name == "blind":  # the control
            assert points(picture, "axes_2", colour) == []
            continue
        ((x, _),) = points(picture, "axes_2", colour)
        gaps, places = [*gaps, RATES["xdistill"] - rate], [*places, x]
    slope, foot = np.polyfit(gaps, places, 1)
    assert slope > 0
    np.testing.assert_allclose(places, slope * np.array(gaps) + foot, atol=0.01)
    assert points(picture, "axes_2", COLOURS[0]) == []  # the reference has no difference to itself


def test_intervals_are_drawn_where_every_task_has_several_seeds_alone(drawn):
    """Of two encoders over all tasks, and of their difference; none where sweep has one seed."""
    tasks, spread = ("reach", "sweep"), {"xdistill": 0.05, "r3m": 0.1}
    rows = [
        row(name, task, seed, 0.5 + step * seed)
        for name, step in spread.items()
        for task in tasks
        for seed in (0, 1, 2)
    ]
    assert intervals(drawn(rows)) == (2, 1)
    rows = [found for found in rows if (found.task, found.seed) != ("sweep", 2)]
    assert intervals(drawn([found for found in rows if (found.task, found.seed) != ("sweep", 1)])) == (0, 0)


def test_many_tasks_stand_as_groups_by_difficulty_and_few_by_themselves(drawn):
    easy = [task for task, entry in PUBLISHED.items() if entry.difficulty == "easy"]
    few, many = ([row("xdistill", task, 0, 1.0) for task in easy[:count]] for count in (FEW, FEW + 1))
    assert set(easy[:FEW]) <= set(texts(drawn(few)))
    said = texts(drawn(many))
    assert not set(easy) & set(said)
    assert {"easy", f"({FEW + 1})"} <= set(said)


def test_a_task_by_itself_shows_each_seed(drawn):
    rows = [row("xdistill", "reach", seed, score) for seed, score in enumerate((0.2, 0.4, 0.9))]
    circles = [each for each in shapes(drawn(rows), "axes_1") if "fill-opacity: 0.6" in each.get("style", "")]
    assert len([each for each in circles if each.tag.endswith("use")]) == 3


def test_a_task_that_blind_solves_is_marked_and_left_out_of_a_second_mean(drawn):
    rows = [row(encoder, task, 0, 1.0) for encoder in ("xdistill", "blind") for task in ("reach", "sweep")]
    rows[-1] = row("blind", "sweep", 0, 0.0)
    said = texts(drawn(rows))
    assert {"reach°", "sweep", "all", "all without °"} <= set(said)
    assert "xdistill minus the other, percentage points, all without °" in said
    assert compared_tasks(compare(rows)) == ("all without °", ["sweep"])


def test_success_over_training_is_drawn_where_every_row_tells_it(drawn):
    """A line an encoder, through a point an evaluation, that of scratch below."""
    rows = [
        row("xdistill", "reach", 0, 0.8, curve="200:0.4 400:0.6 600:0.8"),
        row("resnet18-scratch", "reach", 0, 0.8, curve="200:0.1 400:0.2 600:0.8"),
    ]
    picture = drawn(rows)
    assert "share of the training, %, all tasks" in texts(picture)
    ours, theirs = (points(picture, "axes_3", colour) for colour in COLOURS[:2])
    assert [x for x, _ in ours] == [x for x, _ in theirs]
    heights, rates = [y for _, y in ours + theirs], [0.4, 0.6, 0.8, 0.1, 0.2, 0.8]
    slope, foot = np.polyfit(rates, heights, 1)
    assert slope < 0  # y is down
    np.testing.assert_allclose(heights, slope * np.array(rates) + foot, atol=0.01)
    assert "axes_3" not in drawn([rows[0], row("resnet18-scratch", "reach", 0, 0.8)])


def test_groups_encoders_and_what_is_compared_are_named(drawn):
    rows = [row(encoder, task, 0, 1.0) for encoder in ("xdistill", "r3m", "blind") for task in ("reach", "sweep")]
    said = texts(drawn(rows, reference="r3m"))
    assert {"reach°", "easy", "sweep°", "medium", "all", "(2)"} <= set(said)
    assert "all without °" not in said  # blind solves both, so that group is empty
    assert "success, %, the best evaluation of each seed" in said
    assert "r3m minus the other, percentage points, all tasks" in said
    assert [said.count(encoder) for encoder in ("xdistill", "blind", "r3m")] == [2, 1, 1]  # the legend; the rivals
