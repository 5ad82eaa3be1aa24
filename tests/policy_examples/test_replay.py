import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from policy_examples.encoders import load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.replay import Config, compare, main, run
from policy_examples.robot import RobotPolicy
from policy_examples.store import save_demonstrations

SHAPE = PolicyShape(9, 4, horizon=8, observation_steps=2, action_steps=5, channels=(16, 32), inference_steps=2)


@pytest.fixture
def policy(demonstrations):
    torch.manual_seed(0)
    policy = DiffusionPolicy(SHAPE, [load_encoder("resnet18-scratch")]).eval()
    policy.agent_pos.fit(torch.from_numpy(demonstrations.agent_pos))
    policy.actions.fit(torch.from_numpy(demonstrations.actions))
    return policy


@pytest.fixture
def replayed(policy, demonstrations, tmp_path, monkeypatch, capsys):
    """Runs the command line with further arguments; returns what it printed, and replay.json."""
    policy.save(tmp_path / "policy", {"action_names": ["x", "y", "z", "grip"]})
    save_demonstrations(demonstrations, tmp_path / "demos.zarr")

    def run(*arguments):
        places = [f"--policy={tmp_path}/policy", f"--demos={tmp_path}/demos.zarr", f"--output={tmp_path}/out"]
        monkeypatch.setattr(sys, "argv", ["xdistill replay", *places, *arguments])
        main()
        return capsys.readouterr().out, json.loads((tmp_path / "out/replay.json").read_text())

    return run


def test_the_actions_are_those_of_a_robot_that_shows_what_was_recorded(policy, demonstrations, monkeypatch):
    """Of the second episode, whose 9 steps take two decisions."""
    noise = {}
    predict = DiffusionPolicy.predict_action

    def with_the_noise_of_a_row(policy, read, generators=None):
        return predict(policy, read, generators or [torch.Generator().manual_seed(noise["row"])])

    monkeypatch.setattr(DiffusionPolicy, "predict_action", with_the_noise_of_a_row)
    robot, expected = RobotPolicy(policy, {}), []
    for noise["row"] in range(12, 21):
        shown = {"image": demonstrations.images[noise["row"]], "agent_pos": demonstrations.agent_pos[noise["row"]]}
        expected.append(robot.next_action(shown))
    found = compare(policy, demonstrations, episodes=(1,))
    np.testing.assert_allclose(found.predicted, np.stack(expected), rtol=1e-4, atol=1e-5)
    assert np.array_equal(found.recorded, demonstrations.actions[12:21])
    assert found.lengths == (9,)


def test_holding_still_repeats_the_action_before_each_decision_and_errors_begin_with_the_second(policy, demonstrations):
    found = compare(policy, demonstrations)
    first, later = [*range(5), *range(12, 17)], [*range(5, 12), *range(17, 21)]
    assert np.isnan(found.held[first]).all()  # nothing was executed before
    assert np.array_equal(found.held[later], demonstrations.actions[[*[4] * 5, *[9] * 2, *[16] * 4]])
    assert found.lengths == (12, 9)
    errors = found.errors()
    for name, actions in (("policy", found.predicted), ("held", found.held)):
        np.testing.assert_allclose(errors[name], np.abs(actions - found.recorded)[later].mean(0), rtol=1e-5)


def test_episodes_that_a_policy_decides_at_once_have_nothing_to_hold(demonstrations):
    policy = DiffusionPolicy(replace(SHAPE, horizon=16, action_steps=12), [load_encoder("resnet18-scratch")])
    with pytest.raises(ValueError, match="episodes: expected one of more than 12 steps, which the policy decides at"):
        compare(policy, demonstrations)


def test_cameras_that_the_policy_would_take_for_one_another_are_refused(policy, demonstrations, tmp_path):
    """A store of two cameras, whose main one the policy knows as the other."""
    policy.save(tmp_path / "policy", {"cameras": {"img": "front", "img_wrist": "wrist"}})
    named = {"cameras": {"img": "wrist", "img_front": "front"}}
    changed = replace(demonstrations, origin=named, cameras={"front": demonstrations.images})
    save_demonstrations(changed, tmp_path / "demos.zarr")
    with pytest.raises(ValueError, match="demos: the policy learned the cameras front, .* these have wrist; name them"):
        run(Config(tmp_path / "policy", tmp_path / "demos.zarr", output=tmp_path / "out"))


def test_the_error_of_what_was_recorded_is_zero_and_of_a_shift_the_shift(policy, demonstrations):
    found = compare(policy, demonstrations)
    found = replace(found, predicted=np.add(found.recorded, [0.5, 0, 0, -0.25]))
    np.testing.assert_allclose(found.errors()["policy"], [0.5, 0, 0, 0.25], atol=1e-6)


def test_the_command_line_prints_a_line_per_action_and_leaves_a_figure(replayed, tmp_path):
    printed, facts = replayed("--episodes", "1")
    header, *lines = printed.splitlines()[:5]
    assert header.split() == ["action", "policy", "held", "range"]
    assert [line.split()[0] for line in lines] == ["x", "y", "z", "grip"] == facts["actions"]
    shown = [float(line.split()[1]) for line in lines]
    assert shown == pytest.approx(facts["mean_absolute_error"]["policy"], rel=1e-3)
    assert (facts["episodes"], facts["steps"]) == ([1], 9)
    assert (tmp_path / "out/replay.png").stat().st_size > 1000
    assert replayed("--episodes", "1") == (printed, facts)


def test_episodes_that_are_not_there_and_other_actions_are_refused(replayed):
    with pytest.raises(SystemExit, match="xdistill replay: episodes: expected some of 0 to 1, got 2, 7"):
        replayed("--episodes", "7", "0", "2")
    with pytest.raises(SystemExit, match="demos: the policy learned 4 numbers an action, these have 2; name those"):
        replayed("--selection.action", "action[:2]")
