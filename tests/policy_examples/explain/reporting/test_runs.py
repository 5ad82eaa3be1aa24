import json

import pytest

from policy_examples.explain.reporting.explanations import explanations_within
from policy_examples.explain.reporting.paper_part import grouped
from policy_examples.explain.reporting.runs import read_runs
from policy_examples.policy_files import WEIGHTS
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


def test_a_rollout_into_its_runs_folder_makes_it_no_demo(tmp_path):
    folder = made_runs.finetuned(tmp_path / "run")
    made_runs.rolled_out(folder, policy=folder / "policy")
    (run,) = read_runs([folder])
    assert run.kind == "finetune"


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


def test_unfinished_episodes_stand_behind_finished_ones_and_in_no_mean(tmp_path):
    """Of episodes side by side the solved ones end first."""
    folder = made_runs.finetuned(tmp_path / "run", solved=(10,))
    rollout = made_runs.rolled_out(folder / "rollout", policy=folder / "policy", solved=6, episodes=6)
    (rollout / "episodes.jsonl").rename(rollout / "episodes.partial")
    (run,) = read_runs([folder])
    assert [(found.solved, found.episodes, found.unfinished) for found in run.successes] == [
        (10, 20, False),
        (6, 6, True),
    ]
    (folder / "evaluations.jsonl").unlink()
    (run,) = read_runs([folder])
    assert run.headline is not None
    assert run.headline.unfinished
    assert grouped([run]) == {}


def test_a_shift_without_its_row_is_unfinished(tmp_path):
    folder = made_runs.benchmarked(tmp_path)
    made_runs.write_episodes(folder / "episodes-light.jsonl", 3, 3)
    (run,) = read_runs([folder])
    found = {success.shift: (success.unfinished, success.what) for success in run.successes if success.shift}
    assert found["camera"] == (False, "finished policy under the shift “camera”")
    assert found["light"] == (True, "finished policy under the shift “light”, unfinished: 3 episodes")


def test_a_policy_whose_weights_are_not_there_is_not_called_the_finished_one(tmp_path):
    alone = made_runs.rolled_out(tmp_path / "alone")
    folder = made_runs.finetuned(tmp_path / "run", solved=(3,))
    made_runs.rolled_out(folder / "best-rollout", policy=folder / "policy", solved=20)
    (folder / "policy" / WEIGHTS).unlink()  # as of a run that was copied without its large files
    found, run = read_runs([alone, folder])
    assert found.headline is not None
    assert found.headline.what == "a policy"
    assert run.headline is not None
    assert run.headline.solved == 3


def test_what_is_still_being_written_is_not_read(tmp_path):
    folder = made_runs.demo(tmp_path / "run")
    (folder / ".saliency.partial").mkdir()
    (folder / ".saliency.partial" / "strip.png").touch()
    (folder / ".success.partial.mp4").touch()
    (run,) = read_runs([folder])
    assert [path.name for path in run.films] == ["success.mp4", "failure.mp4"]
    assert explanations_within(folder).saliency == []


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
