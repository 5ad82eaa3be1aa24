from dataclasses import replace

import numpy as np
import pytest
import torch

from policy_examples.attempts import demonstrate
from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.tasks import TaskConfig
from policy_examples.explain.attribution.recording import Recording, moment, record_demonstration, record_episode
from policy_examples.formats.episodes import Selection
from policy_examples.playing import play
from policy_examples.store import Demonstrations, save_demonstrations

TASK = TaskConfig("coffee-button", image_size_px=32, render="fast")


@pytest.fixture(scope="module")
def policy(build_policy):
    """Its actions lie close to straight ahead, which presses the coffee button in some episodes."""
    policy = build_policy()
    policy.actions.fit(torch.tensor([[-0.02, 0.9, -0.02, -1.0], [0.02, 1.0, 0.02, -0.9]]))
    return policy


def test_the_episode_is_the_one_that_a_rollout_plays(policy, rendering):
    seed = FIRST_EVALUATION_SEED
    recording = record_episode(policy, TASK, seed, masks=True)
    with MetaWorld(TASK.task, 32, "fast") as env:
        assert len(recording.actions) == play(policy, env, seed).steps
        env.reset(seed)
        assert np.array_equal(env.observe()["image"], recording.images[0])
        assert np.array_equal(env.agent_pos(), recording.agent_pos[0])
        env.step(recording.actions[0])
        assert np.array_equal(env.agent_pos(), recording.agent_pos[1])
    assert recording.actions_per_second == 80
    assert recording.masks is not None
    assert recording.masks.shape == (len(recording.actions), 32, 32)
    assert recording.masks.any(axis=(1, 2)).all()


@pytest.fixture(scope="module")
def stored(rendering):
    """A demonstration of the expert; the second episode is the first again."""
    with MetaWorld(TASK.task, 32, "fast") as env:
        episode = demonstrate(env, 0, steps_after_success=2)
    assert episode is not None
    steps = len(episode["img"])
    images, agent_pos, actions = (np.concatenate([episode[name]] * 2) for name in ("img", "state", "action"))
    origin = {"task": TASK.task, "render": "fast", "seeds": [0, 0], "fps": 80}
    return Demonstrations(images, agent_pos, actions, np.array([steps, 2 * steps]), origin)


def test_a_demonstration_shows_its_own_frames_and_is_played_again_for_its_masks(stored, tmp_path):
    save_demonstrations(stored, tmp_path / "demos.zarr")
    recording = record_demonstration(tmp_path / "demos.zarr", Selection(), 1, masks=True)
    steps = int(stored.episode_ends[0])
    assert np.array_equal(recording.images, stored.images[steps:])
    assert np.array_equal(recording.actions, stored.actions[steps:])
    assert recording.actions_per_second == 80
    assert recording.masks is not None
    assert recording.masks.any(axis=(1, 2)).all()


def test_a_demonstration_that_does_not_repeat_is_refused(stored, tmp_path):
    save_demonstrations(replace(stored, agent_pos=stored.agent_pos + 1), tmp_path / "demos.zarr")
    with pytest.raises(ValueError, match=r"to repeat within 0.001, got agent_pos 1 apart: .* add --no-masks"):
        record_demonstration(tmp_path / "demos.zarr", Selection(), 0, masks=True)


def test_other_people_s_demonstrations_have_frames_but_no_masks(stored, tmp_path):
    save_demonstrations(replace(stored, origin={}), tmp_path / "demos.zarr")
    with pytest.raises(ValueError, match="does not say the task and the seeds of its episodes.*add --no-masks"):
        record_demonstration(tmp_path / "demos.zarr", Selection(), 0, masks=True)
    recording = record_demonstration(tmp_path / "demos.zarr", Selection(), 0, masks=False)
    assert recording.masks is recording.actions_per_second is None
    with pytest.raises(ValueError, match="episode: .* has episodes 0 to 1, got 2"):
        record_demonstration(tmp_path / "demos.zarr", Selection(), 2, masks=False)


def test_a_moment_is_what_the_policy_sees_padded_as_in_training(build_policy):
    """Five steps whose frames, actions hold their own number; To = 2, T = 4 that begins a step before."""
    numbers = np.arange(5)
    images = np.broadcast_to(numbers[:, None, None, None], (5, 32, 32, 3)).astype(np.uint8)
    actions = np.broadcast_to(numbers[:, None], (5, 4)).astype(np.float32)
    recording = Recording(images, np.zeros((5, 9), np.float32), actions, None, "numbers")
    for step, frames, taken in ((0, [0, 0], [0, 0, 1, 2]), (2, [1, 2], [1, 2, 3, 4]), (4, [3, 4], [3, 4, 4, 4])):
        seen = moment(recording, build_policy(), step)
        assert (255 * seen.cameras["image"][0, :, 0, 0, 0]).round().tolist() == frames
        assert seen.actions[0, :, 0].tolist() == taken
        assert seen.agent_pos.shape == (1, 2, 9)
