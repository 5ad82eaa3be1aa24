"""LeRobot itself reads what we write, we read what it writes; its own environment holds it."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from policy_examples.formats.episodes import Selection
from policy_examples.formats.lerobot_writer import write_lerobot
from policy_examples.formats.opening import open_episodes
from policy_examples.store import open_demonstrations, save_demonstrations

pytestmark = pytest.mark.skipif(
    "LEROBOT_PYTHON" not in os.environ, reason="LEROBOT_PYTHON names no Python that has lerobot"
)
PEER = Path(__file__).with_name("lerobot_peer.py")


def peer(what: str, root: Path, output: Path, *tasks: str) -> dict:
    command = [os.environ["LEROBOT_PYTHON"], PEER, what, root, output, *tasks]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HOME": str(output.parent / "hf")}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_lerobot_reads_the_same_steps_and_trains_its_diffusion_policy_on_them(tmp_path, demonstrations):
    save_demonstrations(demonstrations, tmp_path / "ours.zarr")
    episodes = open_episodes(tmp_path / "ours.zarr", Selection())
    write_lerobot(episodes, tmp_path / "lerobot", fps=80, instruction="reach the goal")

    report = peer("read", tmp_path / "lerobot", tmp_path / "read.npz")

    assert (report["tasks"], report["episodes"]) == (["reach the goal"], 2)
    assert report["inputs"] == ["observation.image", "observation.state"]
    assert np.isfinite(report["loss"])
    assert report["largest_action"] <= 1 + 1e-6  # min-max normalised by our statistics
    with np.load(tmp_path / "read.npz") as arrays:
        images = np.rint(arrays["observation.image"] * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        assert np.array_equal(images, demonstrations.images)
        assert np.array_equal(arrays["observation.state"], demonstrations.agent_pos)
        assert np.array_equal(arrays["action"], demonstrations.actions)
        assert arrays["episode_index"].tolist() == [0] * 12 + [1] * 9


def test_what_lerobot_writes_is_read_as_it_went_in(tmp_path):
    peer("write", tmp_path / "lerobot", tmp_path / "written.npz")
    loaded = open_demonstrations(tmp_path / "lerobot")
    assert loaded.origin["recorded_task"] == "push"
    assert loaded.episode_ends.tolist() == [7, 12]
    with np.load(tmp_path / "written.npz") as arrays:
        assert np.abs(loaded.images.astype(int) - arrays["observation.images.top"]).max() < 6
        assert np.array_equal(loaded.cameras["wrist"], arrays["observation.images.wrist"])
        assert np.array_equal(loaded.agent_pos, arrays["observation.state"])
        assert np.array_equal(loaded.actions, arrays["action"])


def test_the_episodes_of_one_task_are_told_apart_as_lerobot_keeps_them(tmp_path):
    peer("write", tmp_path / "lerobot", tmp_path / "written.npz", "push", "pull")
    with pytest.raises(ValueError, match="holds 2 tasks, .*: 'pull', 'push'"):
        open_demonstrations(tmp_path / "lerobot")
    loaded = open_demonstrations(tmp_path / "lerobot", Selection(filter="pull"))
    with np.load(tmp_path / "written.npz") as arrays:
        assert np.array_equal(loaded.agent_pos, arrays["observation.state"][7:])
