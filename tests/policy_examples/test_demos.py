import sys

import numpy as np
import pytest

from policy_examples import demos
from policy_examples.store import load_demonstrations

pytestmark = pytest.mark.usefixtures("rendering")

CONFIG = demos.Config(task="reach", episodes=2, image_size_px=32, render="fast", steps_after_success=3)


def test_the_same_seed_collects_the_same_demonstrations():
    first, second = demos.collect(CONFIG), demos.collect(CONFIG)
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.actions, second.actions)
    assert first.origin == second.origin


def test_demonstrations_end_so_many_steps_after_success():
    collected = demos.collect(CONFIG)
    with demos.MetaWorld("reach", 32, "fast") as env:
        env.reset(collected.origin["seeds"][0])
        solved = [env.step(action) for action in collected.actions[: collected.episode_ends[0]]]
    assert solved.index(True) == len(solved) - 1 - 3


def test_the_command_writes_a_store_that_loads(tmp_path, monkeypatch, capsys):
    path = tmp_path / "demonstrations.zarr"
    arguments = f"--task reach --episodes 1 --image-size-px 32 --render fast --output {path}"
    monkeypatch.setattr(sys, "argv", ["xdistill demos", *arguments.split()])
    demos.main()
    loaded = load_demonstrations(path)
    assert loaded.episode_ends.tolist() == [200]
    assert loaded.origin["seeds"] == [0]
    assert "1 demonstrations, 200 steps" in capsys.readouterr().out


def test_a_seed_of_the_evaluation_is_refused():
    with pytest.raises(ValueError, match="seed: 1000000 and above are evaluation's, below 0 is none; got 1000000"):
        demos.collect(demos.Config(task="reach", seed=demos.FIRST_EVALUATION_SEED))
