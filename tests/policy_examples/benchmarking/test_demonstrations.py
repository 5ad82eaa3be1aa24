from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policy_examples import demos
from policy_examples.benchmarking.demonstrations import (
    DRAWS,
    DRAWS_APART,
    collect_or_check,
    draw_of,
    first_seed,
    require_own_placements,
)
from policy_examples.envs.tasks import task_names
from policy_examples.store import Demonstrations, open_demonstrations, save_demonstrations


@pytest.fixture
def asked(tmp_path):
    """What a store that lies there was made for."""
    config = demos.Config("reach", tmp_path / "a.zarr", 2, 3000, 96, "fast", None, 10)
    origin = {"task": "reach", "render": "fast", "image_size_px": 96, "points": None, "steps_after_success": 10}
    origin |= {"source": "expert", "versions": {**demos.versions(config), "of old": "1.0"}}
    images, states = np.zeros((4, 96, 96, 3), np.uint8), np.zeros((4, 9), np.float32)
    made = Demonstrations(images, states, np.zeros((4, 4), np.float32), np.array([2, 4]), origin | {"first_seed": 3000})
    save_demonstrations(made, config.output)
    return config


def test_demonstrations_that_are_those_asked_for_are_taken_as_they_are(asked):
    collect_or_check(asked)
    collect_or_check(replace(asked, processes=4, experts=Path("elsewhere")))  # which change nothing


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size_px": 128}, "with image_size_px 128 in .*, got image_size_px 96; name another folder, or delete"),
        ({"render": "reference"}, "with render 'reference' in .*, got render 'fast'"),
        ({"points": 512}, "with points 512 in .*, got points None"),
        ({"seed": 4000}, "with first_seed 4000 in .*, got first_seed 3000"),
        ({"steps_after_success": None}, "with steps_after_success None in .*, got steps_after_success 10"),
        ({"episodes": 10}, "with episodes 10 in .*, got episodes 2"),
        ({"task": "sweep"}, "with task 'sweep' in .*, got task 'reach'"),
        ({"source": "minari"}, "with source 'minari' in .*, got source 'expert'"),
    ],
)
def test_others_are_refused_by_what_differs(asked, changes, message):
    with pytest.raises(ValueError, match="output: expected demonstrations " + message):
        collect_or_check(replace(asked, **changes))


def test_those_of_another_simulator_are_refused(asked, monkeypatch):
    monkeypatch.setattr(demos, "version", lambda name: "0.0.1")
    with pytest.raises(ValueError, match=r"with versions {'mujoco': '0.0.1', .*'of old': '1.0'} in .*, got versions"):
        collect_or_check(asked)


def test_those_of_another_expert_of_adroit_are_refused(asked, tmp_path):
    config = replace(asked, task="adroit-door", experts=tmp_path)
    (tmp_path / "door-v0.pickle").write_bytes(b"one")
    one = demos.versions(config)
    (tmp_path / "door-v0.pickle").write_bytes(b"another")
    another = demos.versions(config)
    assert {name for name in one if one[name] != another[name]} == {"expert"}
    (tmp_path / "door-v0.pickle").unlink()
    assert "expert" not in demos.versions(config)  # nothing to compare with
    assert demos.versions(replace(config, experts=None))["expert"].startswith("288dd213")  # DAPG's


def test_two_draws_share_no_demonstration():
    """Ten demonstrations may take 200 attempts, whose seeds count up."""
    assert first_seed(1) - first_seed(0) >= 10 * demos.ATTEMPTS_PER_EPISODE
    assert first_seed(DRAWS) <= demos.FIRST_EVALUATION_SEED


def test_no_task_draws_what_another_one_does():
    """Of 18 seeds; all seeds of one task draw differently."""
    tasks = task_names()
    draws = [draw_of(task, seed) for task in tasks for seed in range(DRAWS_APART)]
    assert len(set(draws)) == len(tasks) * DRAWS_APART
    assert {draw_of("sweep", seed) for seed in range(DRAWS)} == set(range(DRAWS))


def test_what_a_seed_draws_stays_as_it_was():
    """A task more must not change the demonstrations of the others."""
    assert [draw_of(task, 2) for task in ("assembly", "drawer-open", "adroit-door")] == [2, 326, 902]


def test_an_expert_that_failed_into_the_placements_of_the_next_draw_is_refused(asked):
    there = open_demonstrations(asked.output)
    for name, last in (("own", 3999), ("next", 4000)):
        path = asked.output.with_name(f"{name}.zarr")
        save_demonstrations(replace(there, origin=there.origin | {"seeds": [3000, last]}), path)
    require_own_placements(asked.output.with_name("own.zarr"), 3)
    with pytest.raises(ValueError, match="demonstrations: expected those of draw 3 .* below 4000, .*got 4000"):
        require_own_placements(asked.output.with_name("next.zarr"), 3)
