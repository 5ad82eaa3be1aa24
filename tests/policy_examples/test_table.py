import sys
from dataclasses import replace

import pytest

from policy_examples import table
from policy_examples.benchmarking.results import append_rows
from tests.policy_examples.benchmarking.rows import row

ROWS = [row(name, task, seed, 0.5) for name in ("xdistill", "blind") for task in ("reach", "sweep") for seed in (0, 1)]


@pytest.fixture
def results(tmp_path):
    append_rows(tmp_path / "results.csv", ROWS)
    return tmp_path / "results.csv"


def test_the_command_writes_markdown_and_a_picture_and_prints_the_tables(results, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["xdistill table", str(results)])
    table.main()
    assert results.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    text = results.with_suffix(".md").read_text()
    assert "| xdistill | 50.0 | 50.0 | 50.0 |" in text
    assert text in capsys.readouterr().out


def test_one_seed_alone_is_drawn_without_intervals(tmp_path):
    append_rows(tmp_path / "results.csv", ROWS[:1])
    markdown, picture = table.write_tables(table.Config((tmp_path / "results.csv",), output=tmp_path / "a/b.c"))
    assert (markdown, picture) == (tmp_path / "a/b.c.md", tmp_path / "a/b.c.png")
    assert "| xdistill | 50.0 | 50.0 | 50.0 |" in markdown.read_text()
    assert picture.exists()


def test_several_files_are_one_comparison_limited_to_a_suite(results, tmp_path):
    append_rows(tmp_path / "more.csv", [row(name, "push-back", 0, 0.0) for name in ("xdistill", "blind")])
    markdown, _ = table.write_tables(table.Config((results, tmp_path / "more.csv")))
    assert "push-back" in markdown.read_text()
    markdown, _ = table.write_tables(table.Config((results, tmp_path / "more.csv"), suite="paper34"))
    assert "push-back" not in markdown.read_text()


def test_protocols_of_one_file_are_chosen_on_the_command_line(tmp_path, monkeypatch, capsys):
    """Runs of 10 and of 50 demonstrations, of each a trial of 100 steps."""
    for demonstrations, best in ((10, 0.1), (50, 0.5)):
        trial = "xdistill benchmark --tasks reach --steps 100"
        made = [row("xdistill", "reach", 0, best, demonstrations=demonstrations)]
        made += [row("xdistill", "reach", 0, 0.0, demonstrations=demonstrations, steps=100, command=trial)]
        append_rows(tmp_path / "results.csv", made)

    def run(*choices):
        monkeypatch.setattr(sys, "argv", ["xdistill table", str(tmp_path / "results.csv"), *choices])
        table.main()
        return capsys.readouterr().out

    with pytest.raises(SystemExit, match="table: demonstrations: expected rows .* choose with --demonstrations"):
        run()
    with pytest.raises(SystemExit, match="got two, of 600 steps in bf16 and 100 steps in bf16; choose with --steps"):
        run("--demonstrations", "50")
    assert "| xdistill | 50.0 |" in run("--demonstrations", "50", "--steps", "600")
    assert "| xdistill | 50.0 |" in run("--demonstrations", "50", "--steps", "preset")
    assert "| xdistill | 0.0 |" in run("--demonstrations", "10", "--steps", "100")
    with pytest.raises(SystemExit, match="expected rows of --demonstrations 10 --precision fp32, got preset cpu"):
        run("--demonstrations", "10", "--precision", "fp32")


def test_success_over_the_number_of_demonstrations_has_files_of_its_own(tmp_path):
    rows = [row("xdistill", "reach", 0, 0.1 * count, demonstrations=count) for count in (5, 10)]
    append_rows(tmp_path / "results.csv", rows)
    config = table.Config((tmp_path / "results.csv",), over="demonstrations")
    markdown, picture = table.write_tables(config)
    assert (markdown.name, picture.name) == ("results_over_demonstrations.md", "results_over_demonstrations.png")
    assert "| xdistill | 50.0 | 100.0 |" in markdown.read_text()
    with pytest.raises(ValueError, match="demonstrations: expected no choice beside --over demonstrations"):
        table.write_tables(replace(config, demonstrations=5))


def test_a_reference_without_rows_lists_the_encoders(results, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xdistill table", str(results), "--reference", "dinov2-s"])
    with pytest.raises(SystemExit, match="^xdistill table: reference: expected one of xdistill, blind, got 'dinov2-s'"):
        table.main()
