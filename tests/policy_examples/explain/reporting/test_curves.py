import re

import pytest

from policy_examples.explain.reporting.curves import BOTTOM, LEFT, RIGHT, TOP, Axes, Line, chart, drawable, legend
from tests.policy_examples.explain.reading_html import Page

AXES = Axes("step", "success", limits=(0.0, 1.0), percent=True)


def points(svg: str) -> list[tuple[float, float]]:
    (text,) = re.findall('<polyline points="([^"]*)"', svg)
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def test_a_line_runs_through_the_area_from_its_first_to_its_last_point():
    svg = chart([Line("a", [0, 50, 100], [0, 0.5, 1])], AXES, "rises")
    assert points(svg) == [(LEFT, BOTTOM), ((LEFT + RIGHT) / 2, (BOTTOM + TOP) / 2), (RIGHT, TOP)]


def test_equal_factors_are_equal_distances_on_a_logarithmic_scale():
    svg = chart([Line("a", [0, 1, 2], [0.01, 0.1, 1])], Axes("step", "error", log=True), "falls")
    assert points(svg)[1][1] == pytest.approx((BOTTOM + TOP) / 2, abs=0.1)


def test_points_without_a_place_are_left_out():
    line = Line("a", [0, 1, 2, 3], [0.1, 0, float("nan"), 0.3], band=[(0, 1)] * 4)
    assert list(drawable(line, log=True).xs) == [0, 3]
    assert list(drawable(line, log=False).ys) == [0.1, 0, 0.3]
    assert len(drawable(line, log=True).band) == 2


def test_of_thousands_of_points_means_of_neighbours_are_drawn():
    thin = drawable(Line("a", list(range(1200)), [number % 2 for number in range(1200)]), log=False)
    assert len(thin.xs) == 300
    assert set(thin.ys) == {0.5}
    assert thin.xs[0] == 1.5


def test_a_chart_is_balanced_and_tells_its_description_to_those_who_do_not_see_it():
    svg = chart([Line("<a>", [1, 2], [0.2, 0.4], [(0.1, 0.3), (0.3, 0.5)], dots=True)], AXES, "<a> ends at 40 %")
    page = Page(svg)
    assert page.mistakes == []
    (drawing,) = page.all("svg")
    assert drawing["role"] == "img"
    assert drawing["aria-label"] == "success over step. <a> ends at 40 %"
    assert len(page.all("circle")) == 2
    assert len(page.all("polygon")) == 1


def test_a_single_point_is_marked_and_no_point_at_all_refused():
    assert len(Page(chart([Line("a", [5], [0.5])], AXES, "")).all("circle")) == 1
    with pytest.raises(ValueError, match="expected a point that can be drawn in 'error', got none"):
        chart([Line("a", [1], [0.0])], Axes("step", "error", log=True), "")


def test_a_legend_names_its_lines():
    page = Page(legend([Line("<a>", [], []), Line("b", [], [], colour=1)]))
    assert page.mistakes == []
    assert "<a>" in page.text
