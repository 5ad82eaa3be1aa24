from dataclasses import replace

import pytest

from policy_examples.benchmarking.demonstration_counts import compare_counts
from policy_examples.benchmarking.results import Row
from tests.policy_examples.benchmarking.rows import row


def rows(
    encoder: str, task: str = "reach", seeds: tuple[int, ...] = (0,), counts=(5, 25), **changes: object
) -> list[Row]:
    """Success is a tenth of the number of demonstrations, and a hundredth of the seed more."""
    return [
        row(encoder, task, seed, count / 50 + seed / 100, **({"demonstrations": count} | changes))
        for seed in seeds
        for count in counts
    ]


def test_scores_are_those_of_each_number_from_few_to_many_in_whatever_order_rows_came():
    found = [*rows("xdistill", seeds=(0, 1)), *rows("resnet18-scratch", seeds=(0, 1))]
    for order in (found, found[::-1]):
        comparison = compare_counts(order)
        assert comparison.counts == [5, 25]
        assert set(comparison.rows) == {"xdistill", "resnet18-scratch"}
        for encoder in comparison.rows:
            assert comparison.scores(encoder, 5, "best") == {"reach": {0: 0.1, 1: 0.11}}
            assert comparison.scores(encoder, 25, "best") == {"reach": {0: 0.5, 1: 0.51}}


def test_a_task_that_one_number_lacks_counts_with_none_and_is_counted_as_left_out():
    lacking = [*rows("xdistill"), *rows("resnet18-scratch"), *rows("xdistill", "sweep", counts=(25,))]
    comparison = compare_counts(lacking)
    assert {found.task for its in comparison.rows.values() for found in its} == {"reach"}
    assert comparison.rows_left_out == 1


def test_an_encoder_that_lacks_a_number_is_left_out_by_name():
    comparison = compare_counts([*rows("xdistill"), *rows("dinov2-s", counts=(25,))])
    assert (list(comparison.rows), comparison.left_out) == (["xdistill"], ["dinov2-s"])


def test_the_control_costs_no_seeds_and_counts_with_those_that_it_has_of_every_number():
    control = [*rows("blind", seeds=(0,)), *rows("blind", seeds=(1,), counts=(25,))]
    comparison = compare_counts([*rows("xdistill", seeds=(0, 1)), *control])
    assert [comparison.scores("xdistill", count, "best")["reach"].keys() for count in (5, 25)] == [{0, 1}, {0, 1}]
    assert [comparison.scores("blind", count, "best")["reach"].keys() for count in (5, 25)] == [{0}, {0}]
    assert comparison.rows_left_out == 1
    lacking = compare_counts([*rows("xdistill"), *rows("xdistill", "sweep"), *rows("blind")])
    assert (list(lacking.rows), lacking.left_out) == (["xdistill"], ["blind"])  # it has no sweep


def test_different_encoders_of_one_name_are_no_line():
    """Old weights with few demonstrations, new ones with many."""
    mixed = [*rows("xdistill", counts=(5,), checkpoint="old"), *rows("xdistill", counts=(25,), checkpoint="new")]
    with pytest.raises(
        ValueError, match=r"got none \(xdistill \(old\) has 1 of 5, 0 of 25; xdistill \(new\) has 0 of 5, 1"
    ):
        compare_counts(mixed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "smoke"}, "preset: expected rows of one protocol"),
        ({"episodes": 50}, "episodes: expected rows of one protocol"),
        (
            {"precision": "fp32"},
            "precision: expected the same for every encoder on reach with seed 0, got bf16 for xdistill",
        ),
        ({"evaluations": 2}, "evaluations: expected the same for every encoder on reach .* with 25 demonstrations"),
        ({"steps": 100, "command": "xdistill benchmark --steps 100"}, "steps: expected trainings of one length"),
    ],
)
def test_numbers_of_different_protocols_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        compare_counts([*rows("xdistill", counts=(5,)), *rows("xdistill", counts=(25,), **changes)])


def test_the_protocol_that_is_chosen_decides_which_numbers_there_are():
    found = [*rows("xdistill", counts=(5, 10)), *rows("xdistill", counts=(25,), precision="fp32")]
    assert compare_counts(found, precision="bf16").counts == [5, 10]


def test_epochs_may_be_as_many_steps_as_the_demonstrations_are_long():
    found = [*rows("xdistill", counts=(5,), steps=300), *rows("xdistill", counts=(25,), steps=1500)]
    assert compare_counts(found).counts == [5, 25]


def test_one_number_alone_is_refused_with_what_makes_another():
    with pytest.raises(
        ValueError, match="over: expected rows of several numbers of demonstrations, got those of 25; run"
    ):
        compare_counts(rows("xdistill", counts=(25,)))


def test_numbers_that_share_no_run_are_refused():
    with pytest.raises(ValueError, match=r"over: expected an encoder, a task and a seed with rows of every number"):
        compare_counts([*rows("xdistill", counts=(5,)), *rows("xdistill", "sweep", counts=(25,))])


def test_two_rows_of_one_run_are_refused():
    found = rows("xdistill")
    with pytest.raises(ValueError, match="csv: expected one row for xdistill on reach with seed 0, got two"):
        compare_counts([*found, replace(found[0], best=0.9)])
