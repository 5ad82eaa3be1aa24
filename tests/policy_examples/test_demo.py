import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from policy_examples import demo
from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.encoders import load_encoder
from policy_examples.envs.tasks import TaskConfig
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape

pytestmark = pytest.mark.usefixtures("rendering")

ROOT = Path(__file__).parents[2]


def read_episodes(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_demo_leaves_policy_episodes_curve_and_video_in_the_folder_it_names(tmp_path, capsys):
    config = demo.Config(
        task="reach", output=tmp_path / "demo", encoder="resnet18-scratch", steps=2, episodes=1, image_size_px=32
    )
    success = demo.run(config)
    printed = capsys.readouterr().out
    assert str(tmp_path / "demo") in printed
    assert all(f"[{stage}/4]" in printed for stage in (1, 2, 3, 4))
    episodes = read_episodes(tmp_path / "demo/episodes.jsonl")
    assert success == episodes[0]["success"]
    video = "success.mp4" if success else "failure.mp4"
    for name in ("learning_curve.png", video, "policy/model.safetensors", "demonstrations.zarr/.zgroup"):
        assert (tmp_path / "demo" / name).exists()

    store = tmp_path / "demo/demonstrations.zarr"
    for changes, message in (
        ({"task": "drawer-open"}, f"with task 'drawer-open' in {store}, got task 'reach'"),
        ({"seed": 1}, f"with first_seed 1000 in {store}, got first_seed 0"),
    ):
        with pytest.raises(ValueError, match=message):
            demo.run(replace(config, **changes))


def test_demonstrations_end_soon_after_success_but_for_tasks_that_are_judged_at_the_end():
    asked = {task: demo.demonstrations_config(demo.Config(task=task)) for task in ("drawer-open", "adroit-door")}
    assert {task: config.steps_after_success for task, config in asked.items()} == {
        "drawer-open": 10, "adroit-door": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "pointnet-dp3"}, "encoder: pointnet-dp3 reads point clouds, which the demo does not collect"),
        ({"encoder": "xdistill", "checkpoint": "resnet18-bn"}, "no checkpoint named 'resnet18-bn'"),
    ],
)
def test_an_encoder_that_the_demo_cannot_have_is_told_before_anything_is_played(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        demo.run(demo.Config(task="reach", output=tmp_path / "demo", **changes))
    assert not list((tmp_path / "demo").iterdir())


def test_a_seed_whose_demonstrations_would_be_evaluations_is_refused():
    with pytest.raises(ValueError, match="seed: expected 0 to 999, .* got 1000"):
        demo.Config(seed=1000)


def test_ctrl_c_while_collecting_ends_the_demo_quietly(tmp_path):
    arguments = ["--task", "reach", "--image-size-px", "32", "--output", f"{tmp_path}/demo"]
    command = [sys.executable, "-m", "xdistill_encoder.cli", "demo", *arguments]
    options: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background ignore it
    with subprocess.Popen(command, cwd=ROOT, **options) as process:
        while process.poll() is None and not list(tmp_path.glob("demo/demonstrations.zarr.collecting/*.npz")):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "xdistill demo: stopped; the same command continues." in errors
    assert "Traceback" not in errors


@pytest.fixture
def blind():
    shape = PolicyShape(
        9, 4, horizon=16, observation_steps=2, action_steps=12, channels=(16, 32), inference_steps=2, cameras=()
    )
    policy = DiffusionPolicy(shape, [load_encoder("blind")])
    policy.actions.fit(torch.tensor([[-1.0] * 4, [1.0] * 4]))
    return policy.eval()


def test_an_interrupted_evaluation_goes_on_with_the_episodes_that_are_missing(blind, tmp_path):
    blind.save(tmp_path / "policy", {})
    task, seeds = TaskConfig("reach", 32, "fast"), range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + 3)
    undisturbed = demo.evaluate(blind, task, seeds[:2], tmp_path)
    ended, partial = tmp_path / "episodes.jsonl", tmp_path / "episodes.partial"
    assert not partial.exists()

    ended.unlink()
    marked = replace(undisturbed[0], steps=7)  # no episode ends so early: it shows who was replayed
    partial.write_text(json.dumps(asdict(marked)) + '\n{"seed": 10')  # as a killed process leaves it
    continued = demo.evaluate(blind, task, seeds[:2], tmp_path)
    assert continued == [marked, undisturbed[1]]
    assert read_episodes(ended) == [asdict(episode) for episode in continued]
    assert not partial.exists()

    assert demo.evaluate(blind, task, seeds, tmp_path)[:2] == continued  # of more episodes the others are played
    assert len(read_episodes(ended)) == 3


def test_episodes_of_another_policy_are_not_taken_for_this_one_s(blind, tmp_path):
    blind.save(tmp_path / "policy", {})
    task, seeds = TaskConfig("reach", 32, "fast"), range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + 1)
    demo.evaluate(blind, task, seeds, tmp_path)
    blind.save(tmp_path / "policy", {"step": 2})
    with pytest.raises(ValueError, match=r"holds the episodes of another rollout, policy '\w+' -> '\w+'; name another"):
        demo.evaluate(blind, task, seeds, tmp_path)
