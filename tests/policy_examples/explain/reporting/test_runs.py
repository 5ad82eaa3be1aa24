import json

import pytest

from policy_examples.explain.reporting.runs import read_runs
from tests.policy_examples.explain import made_runs


def test_each_command_leaves_a_kind_of_run_that_is_told_by_its_files(tmp_path):
    folders = [
        made_runs.finetuned(tmp_path / "finetuned"),
        made_runs.demo(tmp_path / "demo"),
        made_runs.rolled_out(tmp_path / "rolled-out"),
        made_runs.benchmarked(tmp_path / "benchmark"),
    ]
    found = read_runs(folders)
    assert [run.kind for run in found] == ["finetune", "demo", "rollout", "benchmark"]
    assert [run.task for run in found] == ["drawer-open"] * 4
    assert [run.encoder for run in found] == ["xdistill", "xdistill", "", "xdistill"]
    assert [path.name for path in found[1].films] == ["success.mp4", "failure.mp4"]
    assert [run.name for run in found[:2]] == ["finetuned", "demo"]


def test_the_headline_is_the_last_evaluation_and_the_best_is_marked_as_selected(tmp_path):
    (run,) = read_runs([made_runs.finetuned(tmp_path / "run", solved=(3, 17, 12))])
    assert run.headline is not None
    assert (run.headline.solved, run.headline.episodes, run.headline.selected) == (12, 20, False)
    assert run.best is not None
    assert (run.best.solved, run.best.selected) == (17, True)


@pytest.mark.parametrize(("command", "asked"), [("rollout", "20"), ("demo", "?")])
def test_of_a_rollout_or_a_demo_that_was_interrupted_the_episodes_so_far_are_read(tmp_path, command, asked):
    make = {"rollout": made_runs.rolled_out, "demo": made_runs.demo}[command]
    folder = make(tmp_path / "run", episodes=20)
    lines = (folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    (folder / "episodes.partial").write_text("".join(lines[:5]) + lines[5][:9])
    (folder / "episodes.jsonl").unlink()
    (run,) = read_runs([folder])
    assert run.kind == command
    assert run.headline is not None
    assert (run.headline.solved, run.headline.episodes) == (5, 5)
    assert f"unfinished: 5 of {asked} episodes" in run.headline.what


def test_a_run_without_configuration_is_read_as_far_as_it_goes(tmp_path):
    run = made_runs.demo(tmp_path / "run")
    (run / "config.json").unlink()
    (found,) = read_runs([run])
    assert found.settings == {}
    assert found.encoder == "xdistill"


def test_a_damaged_line_is_named_by_its_file_and_number(tmp_path):
    run = made_runs.finetuned(tmp_path / "run")
    (run / "log.jsonl").write_text('{"step": 10, "loss": 0.1}\nbroken\n')
    with pytest.raises(ValueError, match=r"log.jsonl:2 is no JSON"):
        read_runs([run])
    (run / "log.jsonl").write_text('{"step": 10}\n')
    with pytest.raises(ValueError, match=r"log.jsonl:1 lacks loss"):
        read_runs([run])


def test_a_whole_benchmark_is_refused_with_the_name_of_a_run_in_it(tmp_path):
    folder = made_runs.benchmarked(tmp_path)
    with pytest.raises(ValueError, match=f"is a benchmark of 1 runs; name some, such as {folder}"):
        read_runs([tmp_path])


def test_the_run_of_another_command_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"teacher": "x"}, "command": "xdistill distill"}))
    with pytest.raises(ValueError, match="whose config.json is of 'xdistill distill'"):
        read_runs([tmp_path])
