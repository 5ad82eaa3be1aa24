import csv
import sys
from pathlib import Path

import pytest

from policy_examples import expert_rates
from policy_examples.envs.published import METAWORLD
from policy_examples.envs.tasks import task_names
from policy_examples.expert_rates import COLUMNS, Config, rate, run

RESULTS = Path(expert_rates.__file__).parent / "results"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def config(tmp_path):
    return Config(tasks=("drawer-close", "reach"), metaworld_episodes=2, seed=3, csv=tmp_path / "experts.csv")


def test_a_row_a_task_and_none_is_played_twice(config, rendering):
    run(config)
    written = rows(config.csv)
    assert sorted(row["task"] for row in written) == ["drawer-close", "reach"]
    for row in written:
        assert tuple(row) == COLUMNS
        assert (row["difficulty"], row["episodes"], row["success"], row["kept"]) == ("easy", "2", "1.0", "1.0")
        assert row["seeds"] == "3-4"
    run(config)
    assert rows(config.csv) == written


def test_the_published_rates_are_of_every_task_and_what_the_readme_says_of_them():
    published = {row["task"]: row for row in rows(RESULTS / "experts.csv")}
    assert list(published) == task_names()
    always = {
        column: [task for task in METAWORLD if float(published[task][column]) == 1] for column in ("success", "kept")
    }
    assert {column: len(tasks) for column, tasks in always.items()} == {"success": 43, "kept": 42}
    solved = {task: float(row["success"]) * int(row["episodes"]) for task, row in published.items()}
    assert [solved[f"adroit-{name}"] for name in ("door", "hammer", "pen")] == [20, 20, 17]
    assert (solved["push-back"], solved["stick-pull"], min(solved.values())) == (5, 8, 5)
    readme = " ".join((RESULTS.parent / "README.md").read_text().split())
    assert "43 of the 50 tasks of MetaWorld are solved 10 times of 10, push-back 5 and stick-pull 8 times" in readme
    assert "42 are, and stick-pull 6 times (column `kept`); door and hammer 20 of 20, pen 17." in readme


def test_a_stopped_run_goes_on_with_the_tasks_that_are_missing(config, rendering):
    run(Config(**{**vars(config), "tasks": ("reach",)}))
    run(config)
    assert [row["task"] for row in rows(config.csv)] == ["reach", "drawer-close"]


def test_playing_renders_nothing(monkeypatch, rendering):
    """Nor does it need OpenGL: no camera is opened."""

    def refuse(*_):
        raise AssertionError("a camera was opened")

    monkeypatch.setattr("policy_examples.envs.view.Camera", refuse)
    assert rate("reach", range(1), None) == {"success": 1.0, "kept": 1.0}


def test_a_csv_of_other_columns_is_refused(config):
    config.csv.write_text("task,encoder\n")
    with pytest.raises(ValueError, match=r"csv: expected columns task, difficulty.* got \['task', 'encoder'\]"):
        run(config)


def test_the_command_line_names_an_unknown_task(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["expert_rates", "--tasks", "rech", "--csv", str(tmp_path / "experts.csv")])
    with pytest.raises(SystemExit, match=r"expert_rates: task: unknown task 'rech'. Did you mean 'reach'"):
        expert_rates.main()
