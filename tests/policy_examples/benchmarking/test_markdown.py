from dataclasses import replace

from policy_examples.benchmarking.comparison import Metric, compare
from policy_examples.benchmarking.markdown import (
    MEASURED,
    PUBLISHED,
    blind_note,
    seeds_of_tasks,
    summary,
    write_markdown,
)
from tests.policy_examples.benchmarking.rows import row

ROWS = [
    row(encoder, task, seed, rate)
    for encoder, rate in (("xdistill", 0.9), ("resnet18-scratch", 0.2))
    for task in ("reach", "sweep")
    for seed in (0, 1)
]
BLIND = [row("blind", task, seed, rate) for task, rate in (("reach", 0.9), ("sweep", 0.0)) for seed in (0, 1)]


def titles(text: str) -> list[str]:
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def test_the_document_goes_from_what_was_measured_to_what_was_published():
    text = write_markdown(compare(ROWS), "last", "resnet18-scratch")
    assert titles(text) == [
        f"{MEASURED}: the last evaluation of each seed",
        "Paired with resnet18-scratch",
        "Best, five best, last",
        "Task by task",
        "The encoders",
        PUBLISHED,
    ]
    assert text.endswith("no part of our means.\n")
    shifted = [replace(found, shift="light", best=None, top5=None, last=0.1) for found in ROWS]
    assert "Under shifts" in titles(write_markdown(compare([*ROWS, *shifted]), "best", "xdistill"))


def test_published_numbers_stand_in_a_table_of_their_own():
    text = write_markdown(compare(ROWS), "best", "xdistill")
    measured, published = text.split(f"## {PUBLISHED}")
    assert "87.2" in published
    assert "87.2" not in measured
    assert "arXiv 2601.11269" in published
    assert "arXiv 2108.13264" in measured
    assert "resnet18-scratch" not in published


def test_the_metric_and_the_reference_are_those_that_were_asked_for():
    rows = [replace(found, last=0.1) if found.encoder == "xdistill" else found for found in ROWS]
    differences: dict[Metric, str] = {"best": "-70.0 |", "last": "+10.0 |"}
    for metric, difference in differences.items():
        paired = write_markdown(compare(rows), metric, "resnet18-scratch").split("## Paired")[1]
        assert f"| xdistill | {difference}" in paired


# ---- what the numbers rest on


def test_what_the_control_has_not_is_said():
    assert "`blind` has" not in summary(compare([*ROWS, *BLIND]))
    rows = [found for found in BLIND if (found.task, found.seed) != ("sweep", 1)]
    assert "`blind` has no run with seed 1 of sweep; its means are over its other seeds." in summary(
        compare([*ROWS, *rows])
    )


def test_the_summary_says_what_the_numbers_rest_on():
    assert summary(compare(ROWS)) == (
        "Preset cpu: 10 demonstrations, 600 steps, 20 episodes an evaluation, 3 evaluations a run, bf16. "
        "2 tasks (2 with seeds 0, 1), 8 runs."
    )
    shared = [replace(row, draw=row.seed) for row in ROWS]
    assert summary(compare(shared)).endswith("succeed and fail together, they are too narrow.")


def test_an_encoder_whose_runs_started_from_several_weights_says_so():
    """Else a mean over two checkpoints of one name would read as that of one."""
    one = [replace(row, weights="aaa") if row.encoder == "xdistill" else row for row in ROWS]
    assert "started" not in summary(compare(one))
    several = [replace(row, weights="") if row.task == "sweep" else row for row in one]
    text = write_markdown(compare(several), "best", "xdistill")
    assert (
        "The 4 runs of `xdistill` started from different weights: 2 from weights aaa, 2 from weights not on record."
        in text
    )
    assert "| xdistill | bundled | aaa, not on record | frozen |" in text


def test_rows_that_some_encoder_lacks_are_counted_with_and_without_a_shift():
    """xdistill is ahead by a task with its shift; of the shift on sweep resnet18-scratch lacks a seed."""
    trained = [*ROWS, *(row("xdistill", "assembly", seed, 0.1) for seed in (0, 1))]
    shifted = [replace(found, shift="light", best=None, top5=None, last=0.45) for found in trained]
    shifted.remove(next(found for found in shifted if (found.encoder, found.task) == ("resnet18-scratch", "sweep")))
    text = summary(compare([*trained, *shifted]))
    assert "Rows left out, because not every encoder has their task and seed: 2." in text
    assert "Rows under a shift left out, because not every encoder has their task and seed: 3." in text


def test_runs_of_different_lengths_are_given_as_a_range():
    longer = [replace(found, steps=6000, evaluations=5) if found.task == "sweep" else found for found in ROWS]
    assert "600 to 6000 steps, 20 episodes an evaluation, 3 or 5 evaluations a run, bf16." in summary(compare(longer))


def test_seeds_are_given_for_as_many_tasks_as_have_them_those_with_most_first():
    short = [found for found in ROWS if (found.task, found.seed) != ("reach", 0)]
    more = [row(encoder, "push", seed, 0.5) for encoder in ("xdistill", "resnet18-scratch") for seed in (0, 1)]
    assert seeds_of_tasks(compare(short)) == "1 with seeds 0, 1; 1 with seed 1"
    assert seeds_of_tasks(compare([*ROWS, *more])) == "3 with seeds 0, 1"


def test_pairs_of_two_precisions_are_told_to_be_equal_within():
    other = [replace(found, precision="fp32") if found.seed else found for found in ROWS]
    assert " bf16 or fp32, the same for all encoders on a task and seed. 2 tasks" in summary(compare(other))
    assert " bf16. 2 tasks" in summary(compare(ROWS))


def test_tasks_that_blind_solves_or_was_not_seen_on_are_named():
    everywhere = blind_note(compare([*ROWS, *BLIND]))
    assert everywhere.endswith(
        "reach 50%, and 90% of those of every other encoder, each time on the seeds that both have: reach°."
    )
    without = blind_note(compare(ROWS))
    assert without == (
        "`blind`, which reads proprioception alone, has no run here: which tasks need no camera is not known."
    )
