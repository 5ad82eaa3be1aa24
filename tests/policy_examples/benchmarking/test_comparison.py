from dataclasses import replace

import pytest

from policy_examples.benchmarking.comparison import compare, judge_blind
from tests.policy_examples.benchmarking.rows import row


def test_blind_solves_a_task_at_nine_tenths_of_the_best_encoder():
    rates = {  # task: xdistill, resnet18-scratch, blind
        "drawer-open": (0.8, 0.2, 0.72),
        "door-open": (0.8, 1.0, 0.85),
    }
    names = ("xdistill", "resnet18-scratch", "blind")
    rows = [row(name, task, 0, rate) for task in rates for name, rate in zip(names, rates[task], strict=True)]
    assert judge_blind(rows) == {
        "drawer-open": True,
        "door-open": False,
    }  # 0.72 is 0.9 * 0.8; 0.85 is less than 0.9 * 1.0


def test_blind_is_judged_by_its_mean_over_seeds():
    rows = [row("xdistill", "reach", seed, 1.0) for seed in (0, 1)]
    rows += [row("blind", "reach", 0, 1.0), row("blind", "reach", 1, 0.7)]
    assert judge_blind(rows) == {"reach": False}


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.45])
def test_a_task_that_blind_fails_in_most_episodes_is_not_solved_however_others_fail(rate):
    rows = [row("xdistill", "push-back", 0, rate), row("blind", "push-back", 0, rate)]
    assert judge_blind(rows) == {"push-back": False}


def test_blind_is_judged_on_the_seeds_that_both_have():
    """blind's second seed is its worst; the encoder's second seed is still to come."""
    rows = [row("xdistill", "reach", 0, 0.8), row("blind", "reach", 0, 0.8), row("blind", "reach", 1, 0.0)]
    assert judge_blind(rows) == {"reach": True}
    assert judge_blind([*rows, row("xdistill", "reach", 1, 0.8)]) == {"reach": False}  # 0.4 of 0.8


def test_blind_is_not_judged_by_an_encoder_that_was_trained_longer():
    rows = [row("xdistill", "reach", 0, 1.0, steps=6000), row("blind", "reach", 0, 0.6)]
    assert judge_blind(rows) == {}
    assert judge_blind([*rows, row("dinov2-s", "reach", 0, 0.6)]) == {"reach": True}


def test_encoders_are_compared_on_the_tasks_and_seeds_that_all_have():
    rows = [row("xdistill", task, seed, 0.9) for task in ("reach", "drawer-open") for seed in (0, 1)]
    rows += [row("resnet18-scratch", "reach", 0, 0.1), row("resnet18-scratch", "sweep", 0, 0.1)]
    comparison = compare(rows)
    assert {(found.task, found.seed) for found in comparison.rows} == {("reach", 0)}
    assert comparison.left_out == 4
    assert compare(rows, ["xdistill"]).tasks == {"drawer-open": "easy", "reach": "easy"}


def test_blind_needs_one_seed_of_a_task_and_no_more():
    rows = [
        row(name, task, seed, 0.9)
        for name in ("xdistill", "dinov2-s")
        for task in ("reach", "sweep")
        for seed in (0, 1)
    ]
    comparison = compare([*rows, row("blind", "reach", 1, 0.2)])
    assert {(found.task, found.seed) for found in comparison.rows_of("xdistill")} == {("reach", 0), ("reach", 1)}
    assert comparison.scores("blind", "best") == {"reach": {1: 0.2}}
    assert comparison.left_out == 4
    assert compare([row("blind", "reach", 1, 0.2)]).tasks == {"reach": "easy"}
    with pytest.raises(ValueError, match="expected a task and seed that all of them have"):
        compare([*rows, row("blind", "reach", 2, 0.2)])


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


def test_encoders_are_told_apart_by_how_they_learned():
    rows = [row("xdistill", "reach", 0, 0.5, encoder_lr=lr) for lr in (1.0, 0.3, 0.0)] + [row("blind", "reach", 0, 0)]
    assert compare(rows).encoders == ["xdistill (lr x 1)", "xdistill (lr x 0.3)", "xdistill (weights fixed)", "blind"]


def test_marks_come_from_blind_even_where_it_is_not_shown():
    rows = [row("xdistill", task, 0, 0.5) for task in ("reach", "sweep")] + [row("blind", "reach", 0, 0.5)]
    comparison = compare(rows, ["xdistill"])
    assert comparison.encoders == ["xdistill"]
    assert comparison.solved_by_blind == {"reach"}
    assert comparison.without_blind == {"sweep"}


def light(found):
    return replace(found, shift="light", best=None, top5=None)


def test_shifted_rows_are_kept_on_the_tasks_and_seeds_that_all_encoders_have_with_and_without_the_shift():
    """A sweep task by task, stopped where resnet18-scratch had played light on reach with one of two seeds."""
    seeing = [row("xdistill", task, seed, 0.9) for task in ("reach", "sweep") for seed in (0, 1)]
    scratch = [row("resnet18-scratch", "reach", seed, 0.5) for seed in (0, 1)]
    shifted = [light(found) for found in (*seeing, scratch[0])]
    comparison = compare([*seeing, *scratch, *shifted])
    assert comparison.shifted == [shifted[0], shifted[4]]  # reach with seed 0
    assert (comparison.left_out, comparison.left_out_shifted) == (2, 3)


def test_encoders_that_were_trained_otherwise_on_a_task_and_seed_are_not_mixed():
    long, short = row("xdistill", "reach", 0, 0.9), row("blind", "reach", 0, 0.1, steps=100)
    with pytest.raises(
        ValueError, match="steps: .* reach with seed 0, got 600 for xdistill and 100 for blind; .*--steps"
    ):
        compare([long, short])
    assert compare([long, short], ["xdistill"]).rows == [long]
    assert compare([long, short], steps=100).rows == [short]
    assert compare([long, replace(short, task="sweep"), row("blind", "reach", 0, 0.2)]).left_out == 1
    other = row("blind", "reach", 0, 0.1, draw=0)
    with pytest.raises(
        ValueError, match="draw: .* got 720 for xdistill and 0 for blind; leave one out with --encoders"
    ):
        compare([long, other])


def test_protocols_are_not_mixed():
    rows = [row("xdistill", "reach", 0, 0.5), row("xdistill", "reach", 0, 0.6, preset="dp3")]
    with pytest.raises(
        ValueError,
        match=r"preset: expected rows of one protocol, got preset cpu, 10 demonstrations, 20 episodes; preset dp3, .*",
    ):
        compare(rows)
    assert [found.best for found in compare(rows, preset="dp3").rows] == [0.6]
    with pytest.raises(ValueError, match="csv: expected rows, got no rows"):
        compare([])


def test_two_rows_of_one_run_are_refused():
    rows = [row("xdistill", "reach", 0, 0.5), row("xdistill", "reach", 0, 0.6, steps=100)]
    with pytest.raises(
        ValueError,
        match="reach with seed 0, got two, of 600 steps in bf16 and 100 steps in bf16; choose with --steps, or",
    ):
        compare(rows)
    other = replace(rows[0], precision="fp32")
    with pytest.raises(
        ValueError, match="of 600 steps in bf16 and 600 steps in fp32; choose with --precision, or remove"
    ):
        compare([rows[0], other])
    assert compare([rows[0], other], precision="fp32").rows == [other]
    with pytest.raises(ValueError, match="got two, of 600 steps in bf16 and 600 steps in bf16; remove one"):
        compare([rows[0], rows[0]])
    both = [replace(rows[0], weights=weights) for weights in ("aaa", "bbb")]
    with pytest.raises(ValueError, match="in bf16 from weights aaa and 600 steps in bf16 from weights bbb; remove one"):
        compare(both)
    shifted = replace(rows[0], shift="light", best=None, top5=None)
    assert compare([rows[0], shifted]).shifted == [shifted]


def test_two_draws_of_one_seed_are_named():
    """A sweep was repeated with --shared-draws."""
    with pytest.raises(ValueError, match="got two, .*, with draws 720 and 0; remove one"):
        compare([row("xdistill", "reach", 0, 0.5), row("xdistill", "reach", 0, 0.5, draw=0)])


def test_encoders_without_a_common_run_are_refused():
    rows = [row("xdistill", "reach", 0, 0.5), row("blind", "sweep", 0, 0.6)]
    with pytest.raises(ValueError, match=r"that all of them have, got none \(xdistill has 1, blind has 1\)"):
        compare(rows)


def test_an_unknown_encoder_lists_the_known_ones():
    with pytest.raises(ValueError, match="encoders: expected some of xdistill, got 'r3m'"):
        compare([row("xdistill", "reach", 0, 0.5)], ["r3m"])
