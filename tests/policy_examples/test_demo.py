import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from policy_examples import demo

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


def test_ctrl_c_while_collecting_ends_the_demo_quietly(tmp_path):
    arguments = ["--task", "reach", "--image-size-px", "32", "--output", f"{tmp_path}/demo"]
    command = [sys.executable, "-m", "xdistill_encoder.cli", "demo", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not list(tmp_path.glob("demo/demonstrations.zarr.collecting/*.npz")):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "xdistill demo: stopped; the same command continues." in errors
    assert "Traceback" not in errors
