import json
import multiprocessing
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from policy_examples import benchmark, table
from policy_examples.benchmarking.launchers import Finished
from policy_examples.benchmarking.results import append_rows, read_rows
from policy_examples.benchmarking.runfiles import describe_machine
from tests.policy_examples.benchmarking.rows import row


def test_a_sweep_leaves_rows_for_what_ran_and_reasons_for_what_failed(rendering, tmp_path, monkeypatch, capsys):
    """The real thing: demonstrations, training, evaluation, a shift, each run in a process of its own."""
    missing = f"xdistill,checkpoint={tmp_path}/none"
    arguments = ["--suite", "smoke", "--preset", "smoke", "--seeds", "0", "--encoders", missing, "resnet18-scratch"]
    arguments += ["--shifts", "light", "--output", str(tmp_path / "out"), "--jobs", "2"]
    monkeypatch.setattr(sys, "argv", ["xdistill benchmark", *arguments])
    with pytest.raises(SystemExit) as end:
        benchmark.main()
    assert end.value.code == 1

    trained, shifted = read_rows(tmp_path / "out/results.csv")
    assert (trained.encoder, trained.suite, trained.shift, trained.steps) == ("resnet18-scratch", "smoke", "", 2)
    assert (trained.evaluations, trained.episodes, trained.image_size_px) == (1, 1, 32)
    assert trained.parameters > 11e6
    assert shifted.shift == "light"
    (failure,) = [json.loads(line) for line in (tmp_path / "out/failed.jsonl").read_text().splitlines()]
    assert "none" in failure["reason"]
    assert failure["run"].startswith("xdistill benchmark --tasks drawer-close --encoders")
    assert Path(failure["log"]).read_text().strip().endswith(failure["reason"])
    printed = capsys.readouterr()
    assert "smoke is one easy task" in printed.out
    assert "[1/2] drawer-close, resnet18-scratch, seed 0: best" in printed.out
    assert failure["reason"] in printed.err
    assert len(list((tmp_path / "out/smoke/drawer-close/demonstrations").glob("*.zarr"))) == 1
    markdown, _ = table.write_tables(table.Config((tmp_path / "out/results.csv",), reference="resnet18-scratch"))
    assert "| resnet18-scratch |" in markdown.read_text()


@pytest.fixture
def config(tmp_path):
    return benchmark.Config(tasks=("reach", "sweep"), encoders=("blind",), seeds=(0, 1), output=tmp_path, preset="cpu")


def write_rows(config: benchmark.Config, path: Path, run, **changes) -> None:
    made = row(run.encoder.name, run.task, run.seed, 0.5, command=run.command(), **changes)
    append_rows(path, [made])


def test_what_has_its_row_is_not_repeated(config):
    """Half of the rows are in the CSV, half still in the folders of their runs, as a killed sweep leaves them."""
    first, second, third, fourth = benchmark.planned_runs(config)
    for run in (first, second):
        write_rows(config, benchmark.results_path(config), run)
    for run in (third, fourth):
        write_rows(config, run.folder(config.output) / "rows.csv", run)
    outcome = benchmark.run_benchmark(config)
    assert (outcome.runs, outcome.finished, outcome.failed, outcome.stopped) == (4, 4, [], False)
    assert len(read_rows(benchmark.results_path(config))) == 4
    assert not benchmark.is_finished(first, replace(config, shifts=("light",)))


def test_a_row_counts_whatever_suite_it_was_made_for(config):
    (run,) = benchmark.planned_runs(replace(config, suite="paper34", tasks=("reach",), seeds=(0,)))
    write_rows(config, config.output / "elsewhere.csv", run, suite="metaworld50")
    assert benchmark.is_finished(run, replace(config, csv=config.output / "elsewhere.csv"))


def test_shifts_of_a_policy_that_lies_elsewhere_are_refused_before_anything_runs(config):
    """Else the run is trained again, and its shifts stand beside the old training's row."""
    for run in benchmark.planned_runs(config):
        write_rows(config, benchmark.results_path(config), run)
    with pytest.raises(ValueError, match="shifts: expected the policy of reach, blind, seed 0 in .*got none"):
        benchmark.run_benchmark(replace(config, shifts=("light",)))


def test_a_training_whose_shift_fails_has_its_row(config, monkeypatch):
    """Its process wrote the row of the training into the run's folder, then died of the shift."""
    (run,) = benchmark.planned_runs(config := replace(config, tasks=("reach",), seeds=(0,), shifts=("light",)))

    def launch(*_):
        write_rows(config, run.folder(config.output) / "rows.csv", run)
        yield Finished(str(run.folder(config.output)), 1)

    monkeypatch.setattr(benchmark, "launch", launch)
    outcome = benchmark.run_benchmark(config)
    assert (outcome.finished, len(outcome.failed)) == (0, 1)
    assert [row.shift for row in read_rows(benchmark.results_path(config))] == [""]


def test_a_run_that_another_sweep_has_finished_meanwhile_fails_alone(config, monkeypatch):
    """Both write to one CSV, to folders of their own; the other runs of this sweep go on."""
    first, second = benchmark.planned_runs(config := replace(config, tasks=("reach",)))

    def launch(*_):
        write_rows(config, benchmark.results_path(config), first, commit="other")
        for run in (first, second):
            write_rows(config, run.folder(config.output) / "rows.csv", run)
            yield Finished(str(run.folder(config.output)), 0)

    monkeypatch.setattr(benchmark, "launch", launch)
    outcome = benchmark.run_benchmark(config)
    (failure,) = outcome.failed
    assert (outcome.finished, failure["run"]) == (1, first.command())
    assert "got others of the same command, of another training" in failure["reason"]
    assert [row.seed for row in read_rows(benchmark.results_path(config))] == [0, 1]


def test_a_plan_runs_nothing(config, monkeypatch, capsys):
    finished, *_ = benchmark.planned_runs(config)
    write_rows(config, benchmark.results_path(config), finished, machine=describe_machine())
    tasks = ["--tasks", *config.tasks, "--encoders", "blind", "--seeds", "0", "1", "--preset", "cpu"]
    monkeypatch.setattr(sys, "argv", ["xdistill benchmark", *tasks, "--output", str(config.output), "--plan"])
    benchmark.main()
    assert "4 runs, 1 finished, 3 to go" in capsys.readouterr().out
    assert [path.name for path in config.output.iterdir()] == ["results.csv"]


def test_a_plan_whose_processes_die_says_so(rendering, config, monkeypatch):
    arguments = ["--tasks", "drawer-close", "--encoders", "blind", "--seeds", "0", "--preset", "smoke", "--plan"]
    arguments += ["--processes", "2", "--output", str(config.output)]
    monkeypatch.setattr(sys, "argv", ["xdistill benchmark", *arguments])
    over = threading.Event()

    def kill_once_they_play() -> None:
        while not over.wait(0.05):
            for child in multiprocessing.active_children():
                child.kill()

    killing = threading.Thread(target=kill_once_they_play)
    killing.start()
    try:
        with pytest.raises(SystemExit, match="^xdistill benchmark: processes: one that played died with exit code -9"):
            benchmark.main()
    finally:
        over.set()
        killing.join()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ()}, "suite: expected one of paper34, .*, or --tasks, got neither"),
        ({"tasks": ("raech",)}, "task: unknown task 'raech'. Did you mean 'reach'"),
        ({"suite": "adroit3"}, "tasks: expected tasks of adroit3, got reach, sweep; leave --suite out"),
        ({"jobs": 0}, "jobs: expected 1 or more, got 0"),
        ({"processes": 0}, "processes: expected 1 or more, got 0"),
    ],
)
def test_impossible_settings_are_refused_before_anything_runs(config, changes, message):
    with pytest.raises(ValueError, match=message):
        benchmark.run_benchmark(replace(config, **changes))
    assert not list(config.output.iterdir())
