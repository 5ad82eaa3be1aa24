import json
import shutil

from policy_examples.explain.reporting.explanations import explanations_within
from policy_examples.explain.reporting.missing import missing_of
from policy_examples.explain.reporting.runs import read_runs
from tests.policy_examples.explain import made_runs


def test_commands_for_a_run_on_somebodys_own_demonstrations_can_work(tmp_path):
    """No simulator has its task, and its cameras are not the simulator's."""
    folder = made_runs.finetuned(tmp_path / "run", solved=())
    for path, part, changes in (
        ("policy/config.json", "origin", {"task": None}),
        ("policy/config.json", "shape", {"cameras": ["image", "image_wrist"]}),
        ("config.json", "config", {"selection": {"cameras": ["front", "wrist"], "image_size_px": [112, 149]}}),
    ):
        found = json.loads((folder / path).read_text())
        found[part] |= changes
        (folder / path).write_text(json.dumps(found))
    (run,) = read_runs([folder])
    told = {missing.what.split(" ")[0]: missing.how for missing in missing_of(run, explanations_within(folder))}
    assert told["success"] == told["videos"]
    assert told["success"].startswith("no command: nothing says which simulated task")
    frames = f"--demos {folder}/d.zarr --selection.cameras front wrist --selection.image-size-px 112 149 --no-masks"
    assert f" {frames} --output {folder}/saliency" in told["saliency"]


def test_a_run_that_has_no_policy_yet_is_not_taken_for_one_without_a_simulator(tmp_path):
    folder = made_runs.finetuned(tmp_path / "run", solved=())
    shutil.rmtree(folder / "policy")
    (run,) = read_runs([folder])
    told = {missing.what.split(" ")[0]: missing.how for missing in missing_of(run, explanations_within(folder))}
    assert "--no-masks" not in told["saliency"]
    assert told["saliency"].endswith(f"--output {folder}/saliency")


def test_while_a_run_trains_commands_take_the_best_policy_so_far(tmp_path):
    folder = made_runs.finetuned(tmp_path / "run")
    (folder / "policy").rename(folder / "best")
    (run,) = read_runs([folder])
    told = {missing.what.split(" ")[0]: missing.how for missing in missing_of(run, explanations_within(folder))}
    assert "policy" in told
    for what in ("videos", "saliency", "embedding"):
        assert f"{folder}/best " in told[what]
