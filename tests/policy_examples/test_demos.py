import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from policy_examples import demos
from policy_examples.attempts import Plan
from policy_examples.collecting import first_successes
from policy_examples.envs.tasks import TaskConfig, open_environment
from policy_examples.store import open_demonstrations

pytestmark = pytest.mark.usefixtures("rendering")

CONFIG = demos.Config(task="reach", episodes=2, image_size_px=32, render="fast", steps_after_success=3)


def files(store: Path) -> dict[Path, bytes]:
    return {path.relative_to(store): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def test_the_same_seed_collects_the_same_demonstrations():
    first, second = demos.collect(CONFIG), demos.collect(CONFIG)
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.actions, second.actions)
    assert first.origin == second.origin


def test_demonstrations_end_so_many_steps_after_success():
    collected = demos.collect(CONFIG)
    with open_environment(TaskConfig("reach", 32, "fast")) as env:
        env.reset(collected.origin["seeds"][0])
        solved = [env.step(action) for action in collected.actions[: collected.episode_ends[0]]]
    assert solved.index(True) == len(solved) - 1 - 3


def test_the_command_writes_a_store_that_loads(tmp_path, monkeypatch, capsys):
    path = tmp_path / "demonstrations.zarr"
    arguments = f"--task reach --episodes 1 --image-size-px 32 --render fast --points 16 --output {path}"
    monkeypatch.setattr(sys, "argv", ["xdistill demos", *arguments.split()])
    demos.main()
    loaded = open_demonstrations(path)
    assert loaded.episode_ends.tolist() == [200]
    assert loaded.origin["seeds"] == [0]
    assert loaded.point_clouds is not None
    assert loaded.point_clouds.shape == (200, 16, 3)
    assert "1 demonstrations" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_collection_continues_to_the_store_of_an_uninterrupted_one(tmp_path):
    config = replace(CONFIG, episodes=3, steps_after_success=None)
    demos.collect_store(replace(config, output=tmp_path / "whole.zarr"))
    path = tmp_path / "killed.zarr"
    arguments = f"--task reach --episodes 3 --image-size-px 32 --render fast --processes 2 --output {path}"
    process = subprocess.Popen(
        [sys.executable, "-m", "policy_examples.demos", *arguments.split()],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("killed.zarr.collecting/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not path.exists()
    assert list(tmp_path.glob("killed.zarr.collecting/*.npz"))

    demos.collect_store(replace(config, output=path))
    assert files(path) == files(tmp_path / "whole.zarr")


def test_a_collection_that_other_versions_of_the_simulator_began_is_not_continued(tmp_path):
    began = Plan(TaskConfig("reach", 32, "fast"), 3, versions={"mujoco": "3.0.0", "metaworld": "3.0.0"})
    first_successes(began, tmp_path / "demos.zarr.collecting", 1, range(1), 1, lambda success: None)
    with pytest.raises(ValueError, match="output: .* began otherwise, .*'mujoco': '3.0.0'.* instead of .*'mujoco': "):
        demos.collect_store(replace(CONFIG, output=tmp_path / "demos.zarr"))
    assert not (tmp_path / "demos.zarr").exists()


def test_demonstrations_name_the_versions_that_played_them():
    versions = demos.collect(replace(CONFIG, episodes=1)).origin["versions"]
    assert versions == {name: version(name) for name in ("mujoco", "metaworld")}


def test_adroit_is_collected_from_its_experts(adroit_experts):
    collected = demos.collect(
        demos.Config(task="adroit-door", episodes=1, image_size_px=32, render="fast", experts=adroit_experts)
    )
    assert collected.images.shape == (100, 32, 32, 3)
    assert collected.agent_pos.shape == (100, 24)
    assert collected.actions.shape == (100, 28)
    assert collected.origin["env"] == "adroit"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1_000_000}, "seed: 1000000 and above are evaluation's, below 0 is none; got 1000000"),
        ({"episodes": 0}, "episodes: expected 1 or more, got 0"),
        ({"processes": 0}, "processes: expected 1 or more, got 0"),
        ({"image_size_px": 0}, "image_size_px: expected 1 or more, got 0"),
        ({"steps_after_success": -1}, "steps_after_success: expected 0 or more, or None, got -1"),
        ({"points": 0}, "points: expected 1 or more, or None, got 0"),
        ({"task": "drawer-opne"}, "unknown task 'drawer-opne'. Did you mean 'drawer-open'"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        demos.collect(replace(CONFIG, **changes))


def test_a_taken_output_is_refused_before_anything_is_played(tmp_path):
    with pytest.raises(ValueError, match="exists already; delete it or name another path"):
        demos.collect_store(replace(CONFIG, output=tmp_path))
