from policy_examples.benchmarking.comparison import compare
from policy_examples.benchmarking.curves import over_training, steps_of_evaluations
from policy_examples.benchmarking.markdown import write_markdown
from tests.policy_examples.benchmarking.rows import row
from tests.policy_examples.benchmarking.test_tables import cells

ROWS = [
    row("xdistill", "reach", 0, 0.8, curve="200:0.4 600:0.8"),
    row("xdistill", "reach", 1, 0.6, curve="200:0.2 600:0.6"),
    row("xdistill", "sweep", 0, 1.0, curve="212:0.5 600:1.0"),
    row("blind", "reach", 0, 0.3, curve="200:0.3 600:0.0"),
    row("blind", "reach", 1, 0.2, curve="200:0.1 600:0.2"),
    row("blind", "sweep", 0, 0.1, curve="212:0.1 600:0.1"),
]


def test_each_evaluation_has_means_over_tasks_of_means_over_seeds_and_their_differences():
    table = over_training(compare(ROWS), "xdistill")
    assert cells(table, "") == ["step 200-212", "step 600"]
    assert cells(table, "xdistill") == ["40.0", "85.0"]  # (0.3 + 0.5) / 2, (0.7 + 1.0) / 2
    assert cells(table, "blind") == ["15.0", "10.0"]
    assert cells(table, "xdistill minus blind") == ["+25.0", "+75.0"]


def test_curves_stand_in_the_document_where_every_row_tells_its_own():
    assert "## Over training" in write_markdown(compare(ROWS), "best", "xdistill")
    untold = [*ROWS[:-1], row("blind", "sweep", 0, 0.1)]
    assert steps_of_evaluations(compare(untold)) == []
    assert "## Over training" not in write_markdown(compare(untold), "best", "xdistill")


def test_one_evaluation_is_no_curve():
    once = [row("xdistill", "reach", 0, 0.8, curve="600:0.8")]
    assert "## Over training" not in write_markdown(compare(once), "best", "xdistill")
