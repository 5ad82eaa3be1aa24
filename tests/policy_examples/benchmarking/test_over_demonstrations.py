from dataclasses import replace

from policy_examples.benchmarking.demonstration_counts import compare_counts
from policy_examples.benchmarking.over_demonstrations import by_count, draw_counts, write_counts_markdown
from tests.policy_examples.benchmarking.rows import row
from tests.policy_examples.benchmarking.test_tables import cells

ROWS = [
    row(encoder, task, 0, best * count / 25, demonstrations=count)
    for encoder, best in (("xdistill", 1.0), ("resnet18-scratch", 0.5))
    for task in ("reach", "sweep")
    for count in (25, 5)
]


def test_each_number_of_demonstrations_has_means_and_differences():
    table = by_count(compare_counts(ROWS), "best", "xdistill")
    assert cells(table, "") == ["5 demonstrations", "25 demonstrations"]
    assert cells(table, "xdistill") == ["20.0", "100.0"]
    assert cells(table, "xdistill minus resnet18-scratch") == ["+10.0", "+50.0"]


def test_the_document_says_what_it_rests_on_and_what_it_leaves_out():
    others = [row("dinov2-s", "reach", 0, 0.9, demonstrations=5), row("xdistill", "push", 0, 0.9, demonstrations=5)]
    others += [row("blind", task, 0, 0.1, demonstrations=count) for task in ("reach", "sweep") for count in (5, 25)]
    text = write_counts_markdown(compare_counts([*ROWS, *others]), "best", "xdistill")
    assert text.startswith("## Success over the number of demonstrations: the best evaluation of each seed")
    assert "steps: 600 with 5; 600 with 25 demonstrations. 2 tasks, 2 runs of each encoder with each number." in text
    assert "- `xdistill`: bundled, frozen norm, pooled readout\n" in text
    assert "- `blind`: pooled readout; of these runs it has 2." in text
    assert "Left out, because rows with some of these numbers lack: dinov2-s." in text
    assert "Rows left out, because their task and seed lack elsewhere: 1." in text


def test_an_encoder_whose_runs_started_from_several_weights_says_so():
    rows = [replace(each, weights="aaa") if each.demonstrations == 5 else each for each in ROWS[:4]]
    text = write_counts_markdown(compare_counts(rows), "best", "xdistill")
    assert "- `xdistill`: bundled, frozen norm, pooled readout. The 4 runs of `xdistill` started from" in text


def test_the_picture_has_a_line_an_encoder_through_its_means(tmp_path):
    draw_counts(compare_counts(ROWS), "best", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
