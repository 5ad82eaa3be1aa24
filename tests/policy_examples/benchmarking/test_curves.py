from policy_examples.benchmarking.comparison import compare
from policy_examples.benchmarking.curves import evaluations_of, over_training
from policy_examples.benchmarking.markdown import PAIRED, write_markdown
from policy_examples.benchmarking.results import Row, curve_text
from tests.policy_examples.benchmarking.rows import row
from tests.policy_examples.benchmarking.test_tables import cells


def told(encoder: str, task: str, seed: int, *curve: tuple[int, float]) -> Row:
    """A row with this curve, and what follows from it."""
    steps, rates = zip(*curve, strict=True)
    changes = {"last": rates[-1], "evaluations": len(curve), "steps": steps[-1]}
    return row(encoder, task, seed, max(rates), curve=curve_text(curve), **changes)


ROWS = [
    told("xdistill", "reach", 0, (300, 0.4), (600, 0.8)),
    told("xdistill", "reach", 1, (300, 0.2), (600, 0.6)),
    told("xdistill", "sweep", 0, (318, 0.5), (600, 1.0)),
    told("blind", "reach", 0, (300, 0.3), (600, 0.0)),
    told("blind", "reach", 1, (300, 0.1), (600, 0.2)),
    told("blind", "sweep", 0, (318, 0.1), (600, 0.1)),
]


def test_each_evaluation_has_means_over_tasks_of_means_over_seeds_and_their_differences():
    table = over_training(compare(ROWS), "xdistill")
    assert cells(table, "") == ["51% (step 300-318)", "100% (step 600)"]
    assert cells(table, "xdistill") == ["40.0", "85.0"]  # (0.3 + 0.5) / 2, (0.7 + 1.0) / 2
    assert cells(table, "blind") == ["15.0", "10.0"]
    assert cells(table, "xdistill minus blind") == ["+25.0", "+75.0"]


def test_a_difference_to_the_control_is_over_the_seeds_that_it_has():
    lacking = [found for found in ROWS if (found.encoder, found.seed) != ("blind", 1)]
    table = over_training(compare(lacking), "xdistill")
    assert cells(table, "xdistill") == ["40.0", "85.0"]
    assert cells(table, "xdistill minus blind") == ["+25.0", "+85.0"]  # (0.1 + 0.4) / 2, (0.8 + 0.9) / 2
    assert PAIRED in write_markdown(compare(lacking), "best", "xdistill")


def test_curves_stand_in_the_document_where_every_row_tells_its_own():
    left_out = "Success over training is left out: not all rows tell of the same number of evaluations."
    whole = write_markdown(compare(ROWS), "best", "xdistill")
    assert "## Over training" in whole
    assert left_out not in whole
    untold = compare([*ROWS[:-1], row("blind", "sweep", 0, 0.1, evaluations=2)])
    assert evaluations_of(untold) == []
    assert "## Over training" not in write_markdown(untold, "best", "xdistill")
    assert left_out in write_markdown(untold, "best", "xdistill")


def test_one_evaluation_is_no_curve():
    once = write_markdown(compare([told("xdistill", "reach", 0, (600, 0.8))]), "best", "xdistill")
    assert "## Over training" not in once
    assert "left out" not in once
