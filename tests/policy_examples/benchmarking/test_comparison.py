from dataclasses import replace

import pytest

from policy_examples.benchmarking.comparison import compare, solved_by_blind
from tests.policy_examples.benchmarking.rows import row


def test_blind_solves_a_task_at_nine_tenths_of_the_best_encoder():
    rates = {  # task: xdistill, resnet18-scratch, blind
        "drawer-open": (0.8, 0.2, 0.72),
        "door-open": (0.8, 1.0, 0.85),
    }
    names = ("xdistill", "resnet18-scratch", "blind")
    rows = [row(name, task, 0, rate) for task in rates for name, rate in zip(names, rates[task], strict=True)]
    assert solved_by_blind(rows) == {"drawer-open"}  # 0.72 is 0.9 * 0.8; 0.85 is less than 0.9 * 1.0


def test_blind_is_judged_by_its_mean_over_seeds():
    rows = [row("xdistill", "reach", seed, 1.0) for seed in (0, 1)]
    rows += [row("blind", "reach", 0, 1.0), row("blind", "reach", 1, 0.7)]
    assert solved_by_blind(rows) == frozenset()


def test_a_task_that_nothing_solves_is_not_solved_by_blind():
    rows = [row("xdistill", "push-back", 0, 0.0), row("blind", "push-back", 0, 0.0)]
    assert solved_by_blind(rows) == frozenset()


def test_encoders_are_compared_on_the_tasks_and_seeds_that_all_have():
    rows = [row("xdistill", task, seed, 0.9) for task in ("reach", "drawer-open") for seed in (0, 1)]
    rows += [row("resnet18-scratch", "reach", 0, 0.1), row("resnet18-scratch", "sweep", 0, 0.1)]
    comparison = compare(rows)
    assert {(found.task, found.seed) for found in comparison.rows} == {("reach", 0)}
    assert comparison.left_out == 4
    assert compare(rows, ["xdistill"]).tasks == {"drawer-open": "easy", "reach": "easy"}


def test_tasks_come_from_easy_to_very_hard_then_adroit():
    names = ("adroit-pen", "stick-push", "assembly", "sweep", "reach")
    assert list(compare([row("xdistill", task, 0, 0.5) for task in names]).tasks) == list(reversed(names))


def test_checkpoints_of_one_encoder_are_told_apart_by_what_differs():
    rows = [
        row("xdistill", "reach", 0, 0.5),
        row("xdistill", "reach", 0, 0.6, checkpoint="mine"),
        row("blind", "reach", 0, 0),
    ]
    assert compare(rows).encoders == ["xdistill (bundled)", "xdistill (mine)", "blind"]
    assert compare(rows, ["xdistill (mine)"]).encoders == ["xdistill (mine)"]
    assert compare(rows, ["xdistill"]).encoders == ["xdistill (bundled)", "xdistill (mine)"]


def test_marks_come_from_blind_even_where_it_is_not_shown():
    rows = [row("xdistill", task, 0, 0.5) for task in ("reach", "sweep")] + [row("blind", "reach", 0, 0.5)]
    comparison = compare(rows, ["xdistill"])
    assert comparison.encoders == ["xdistill"]
    assert comparison.solved_by_blind == {"reach"}
    assert comparison.without_blind == {"sweep"}


def test_protocols_are_not_mixed():
    rows = [row("xdistill", "reach", 0, 0.5), row("xdistill", "reach", 0, 0.6, preset="dp3")]
    with pytest.raises(
        ValueError,
        match=r"preset: expected rows of one protocol, got preset cpu, 10 demonstrations, 20 episodes; preset dp3, .*",
    ):
        compare(rows)
    assert [found.best for found in compare(rows, preset="dp3").rows] == [0.6]
    with pytest.raises(ValueError, match="preset: expected rows of one protocol, got no rows"):
        compare([])


def test_two_rows_of_one_run_are_refused():
    rows = [row("xdistill", "reach", 0, 0.5), row("xdistill", "reach", 0, 0.6, steps=100)]
    with pytest.raises(ValueError, match="one row for xdistill on reach with seed 0, got two, of 600 and 100 steps"):
        compare(rows)
    shifted = replace(rows[0], shift="light", best=None, top5=None)
    assert compare([rows[0], shifted]).shifted == [shifted]


def test_encoders_without_a_common_run_are_refused():
    rows = [row("xdistill", "reach", 0, 0.5), row("blind", "sweep", 0, 0.6)]
    with pytest.raises(ValueError, match=r"that all of them have, got none \(xdistill has 1, blind has 1\)"):
        compare(rows)


def test_an_unknown_encoder_lists_the_known_ones():
    with pytest.raises(ValueError, match="encoders: expected some of xdistill, got 'r3m'"):
        compare([row("xdistill", "reach", 0, 0.5)], ["r3m"])
