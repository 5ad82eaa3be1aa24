import re
from dataclasses import replace

from policy_examples.benchmarking import tables
from policy_examples.benchmarking.comparison import compare
from tests.policy_examples.benchmarking.rows import row

ROWS = [
    *[row("xdistill", task, seed, 0.9 + 0.1 * seed) for task in ("reach", "sweep") for seed in (0, 1)],
    *[row("resnet18-scratch", "reach", seed, 0.5) for seed in (0, 1)],
    *[row("resnet18-scratch", "sweep", seed, 0.2, last=0.1) for seed in (0, 1)],
    *[row("blind", "reach", seed, 0.9, parameters=0, ms_per_frame=None, image_size_px=None) for seed in (0, 1)],
    *[row("blind", "sweep", seed, 0.0, parameters=0, ms_per_frame=None, image_size_px=None) for seed in (0, 1)],
]


def cells(table: str, first: str) -> list[str]:
    """The cells of the row that begins so, without its first."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_means_are_given_by_difficulty_over_all_and_without_what_blind_solves():
    """blind reaches 0.9 on reach, 90 % of anything up to 1.0: reach says nothing; sweep alone is left."""
    table = tables.by_difficulty(compare(ROWS), "best")
    assert cells(table, "encoder") == ["easy (1)", "medium (1)", "all (2)", "all without ° (1)"]
    assert cells(table, "resnet18-scratch") == ["50.0", "20.0", "35.0", "20.0"]
    assert cells(table, "xdistill") == ["95.0", "95.0", "95.0", "95.0"]


def test_pairs_have_a_signed_difference_and_the_tasks_won_among_those_that_blind_does_not_solve():
    table = tables.paired(compare(ROWS), "best", "xdistill")
    everything, unmarked, won = cells(table, "resnet18-scratch")
    assert (everything, unmarked, won) == ("+60.0", "+75.0", "1 / 0 / 0")  # reach, which blind solves, is no win


def test_enough_seeds_give_means_and_differences_an_interval():
    rows = [row("xdistill", "reach", seed, 0.8 + 0.04 * seed) for seed in range(5)]
    comparison = compare([*rows, *[row("resnet18-scratch", "reach", seed, 0.5) for seed in range(5)]])
    assert re.fullmatch(r"88\.0 \[8[01]\.\d, 9\d\.\d\]", cells(tables.by_difficulty(comparison, "best"), "xdistill")[1])
    paired = cells(tables.paired(comparison, "best", "xdistill"), "resnet18-scratch")
    assert re.fullmatch(r"\+38\.0 \[\+3[01]\.\d, \+4\d\.\d\]", paired[0])


def test_a_task_that_blind_solves_is_marked_beside_published_numbers():
    table = tables.by_task(compare(ROWS), "best")
    assert cells(table, "reach°") == ["easy", "95.0", "50.0", "90.0", "24", "18"]
    assert cells(table, "sweep") == ["medium", "95.0", "20.0", "0.0", "96", "18"]


def test_best_is_shown_beside_last():
    assert cells(tables.by_metric(compare(ROWS)), "resnet18-scratch") == ["35.0", "35.0", "30.0"]


def test_a_shift_is_shown_beside_the_last_evaluation_of_the_same_policies():
    shifted = replace(ROWS[0], shift="light", best=None, top5=None, last=0.45)
    table = tables.by_shift(compare([*ROWS, shifted]))
    assert cells(table, "xdistill") == ["45.0 of 90.0"]  # seed 0 of reach alone
    assert cells(table, "blind") == [""]


def test_an_unfinished_sweep_with_shifts_is_summed_up():
    """xdistill is ahead by a task with its shift; of the shift on sweep resnet18-scratch lacks a seed."""
    ahead = [row("xdistill", "assembly", seed, 0.1) for seed in (0, 1)]
    trained = [found for found in (*ROWS, *ahead) if found.encoder != "blind"]
    shifted = [replace(found, shift="light", best=None, top5=None, last=0.45) for found in trained]
    shifted.remove(next(found for found in shifted if (found.encoder, found.task) == ("resnet18-scratch", "sweep")))
    comparison = compare([*ROWS, *ahead, *shifted])
    table = tables.by_shift(comparison)
    assert cells(table, "xdistill") == ["45.0 of 97.5"]  # of 0.9 and 1.0 on reach, 1.0 on sweep
    assert cells(table, "blind") == [""]


def test_means_over_a_task_of_one_seed_have_no_interval():
    """Of one task five seeds are known; those alone would say how sure the mean of both is."""
    rows = [row("xdistill", "reach", seed, 0.1 * seed) for seed in range(5)]
    easy, medium, *both = cells(
        tables.by_difficulty(compare([*rows, row("xdistill", "sweep", 0, 0.4)]), "best"), "xdistill"
    )
    assert easy.startswith("20.0 [")
    assert (medium, *both) == ("40.0", "30.0", "30.0")


def test_encoders_have_parameters_image_size_and_latency():
    table = tables.encoders(compare(ROWS))
    assert cells(table, "xdistill")[:8] == ["bundled", "not on record", "frozen", "pooled", "1", "11.00", "96", "6.5"]
    assert cells(table, "blind")[:8] == ["", "", "", "pooled", "", "0.00", "", ""]
    table = tables.encoders(compare([replace(each, weights="aaa") for each in ROWS]))
    assert cells(table, "xdistill")[:2] == ["bundled", "aaa"]
