import re

import pytest

from policy_examples.benchmarking.demonstration_counts import (
    by_count,
    compare_counts,
    draw_counts,
    write_counts_markdown,
)
from tests.policy_examples.benchmarking.rows import row
from tests.policy_examples.benchmarking.test_tables import cells

ROWS = [
    row(encoder, task, 0, best * count / 25, demonstrations=count)
    for encoder, best in (("xdistill", 1.0), ("resnet18-scratch", 0.5))
    for task in ("reach", "sweep")
    for count in (25, 5)
]


def test_each_number_of_demonstrations_has_means_and_differences_from_few_to_many():
    table = by_count(compare_counts(ROWS), "best", "xdistill")
    assert cells(table, "") == ["5 demonstrations", "25 demonstrations"]
    assert cells(table, "xdistill") == ["20.0", "100.0"]
    assert cells(table, "xdistill minus resnet18-scratch") == ["+10.0", "+50.0"]


def test_a_task_that_one_number_lacks_counts_with_none():
    lacking = [found for found in ROWS if (found.task, found.demonstrations) != ("sweep", 5)]
    comparisons = compare_counts([*lacking, row("r3m", "reach", 0, 1.0, demonstrations=25)])
    assert {found.task for each in comparisons.values() for found in each.rows} == {"reach"}
    assert [each.encoders for each in comparisons.values()] == [["xdistill", "resnet18-scratch"]] * 2


def test_the_control_with_one_seed_costs_the_others_none():
    rows = [row("xdistill", "reach", seed, 0.5, demonstrations=count) for seed in (0, 1) for count in (5, 25)]
    rows += [row("blind", "reach", count > 5, 0.1, demonstrations=count) for count in (5, 25)]
    comparisons = compare_counts(rows)
    assert [len(each.rows_of("xdistill")) for each in comparisons.values()] == [2, 2]
    assert [len(each.rows_of("blind")) for each in comparisons.values()] == [1, 1]


def test_the_document_says_what_each_number_rests_on(tmp_path):
    comparisons = compare_counts(ROWS)
    text = write_counts_markdown(comparisons, "best", "xdistill")
    assert text.startswith("## Success over the number of demonstrations: the best evaluation of each seed")
    assert re.findall(r"^- Preset cpu: (\d+) demonstrations", text, re.MULTILINE) == ["5", "25"]
    draw_counts(comparisons, "best", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_one_number_alone_is_refused_with_what_makes_another():
    with pytest.raises(ValueError, match="over: expected rows of several numbers of demonstrations, got 25; run `xd"):
        compare_counts([found for found in ROWS if found.demonstrations == 25])


def test_numbers_that_share_no_run_are_refused():
    rows = [row("xdistill", task, 0, 0.5, demonstrations=count) for task, count in (("reach", 5), ("sweep", 25))]
    with pytest.raises(ValueError, match="over: expected an encoder, a task and a seed that all numbers .* got none"):
        compare_counts(rows)
