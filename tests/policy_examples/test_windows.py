from dataclasses import replace

import numpy as np
import pytest
import torch

from policy_examples.windows import Windows, batch_indices, steps_per_epoch, window_rows


def test_windows_repeat_the_edges_of_their_episode():
    rows = window_rows(np.array([4, 7]), horizon=3, pad_before=1, pad_after=1)
    assert rows.tolist() == [
        [0, 0, 1],
        [0, 1, 2],
        [1, 2, 3],
        [2, 3, 3],
        [4, 4, 5],
        [4, 5, 6],
        [5, 6, 6],
    ]


def test_a_window_pairs_observed_frames_with_the_actions_of_the_horizon(demonstrations):
    windows = Windows(demonstrations, horizon=4, observation_steps=2, action_steps=3)
    window = windows[5]  # starts at step 5 - 1 of the first episode
    assert torch.equal(window["image"], torch.from_numpy(demonstrations.images[4:6]).permute(0, 3, 1, 2))
    assert torch.equal(window["agent_pos"], torch.from_numpy(demonstrations.agent_pos[4:6]))
    assert torch.equal(window["action"], torch.from_numpy(demonstrations.actions[4:8]))


def test_every_step_of_a_demonstration_is_the_newest_frame_of_one_window(demonstrations):
    windows = Windows(demonstrations, horizon=4, observation_steps=2, action_steps=3)
    assert sorted(windows.rows[:, 1].tolist()) == list(range(21))


def test_a_tensor_of_indices_gives_a_batch(demonstrations):
    windows = Windows(demonstrations, horizon=4, observation_steps=2, action_steps=3)
    batch = windows[torch.tensor([3, 7])]
    assert {name: tuple(values.shape) for name, values in batch.items()} == {
        "image": (2, 2, 3, 32, 32),
        "agent_pos": (2, 2, 9),
        "action": (2, 4, 4),
    }
    assert torch.equal(batch["action"][1], windows[7]["action"])


def test_a_window_holds_what_is_read_alone(demonstrations):
    points = np.random.default_rng(1).normal(size=(21, 5, 3))
    demonstrations = replace(demonstrations, point_clouds=points, cameras={"wrist": demonstrations.images[::-1].copy()})
    blind = Windows(demonstrations, 4, 2, 3, reads=("agent_pos",))[0]
    assert sorted(blind) == ["action", "agent_pos"]
    window = Windows(demonstrations, 4, 2, 3, reads=("image_wrist", "point_cloud", "agent_pos"))[torch.tensor([5])]
    assert sorted(window) == ["action", "agent_pos", "image_wrist", "point_cloud"]
    wrist = torch.from_numpy(demonstrations.cameras["wrist"][4:6]).permute(0, 3, 1, 2)
    assert torch.equal(window["image_wrist"][0], wrist)
    assert torch.equal(window["point_cloud"][0], torch.from_numpy(points[4:6].astype(np.float32)))


@pytest.mark.parametrize("key", ["point_cloud", "image_wrist"])
def test_what_the_demonstrations_lack_is_refused_with_what_they_have(demonstrations, key):
    with pytest.raises(ValueError, match=f"cameras: these demonstrations have image, agent_pos; got '{key}'"):
        Windows(demonstrations, 4, 2, 3, reads=(key, "agent_pos"))


def test_the_fingerprint_tells_demonstrations_apart(demonstrations):
    first = Windows(demonstrations, 4, 2, 3).fingerprint()
    assert Windows(replace(demonstrations), 4, 2, 3).fingerprint() == first
    assert Windows(demonstrations, 8, 2, 3).fingerprint() != first
    images = demonstrations.images.copy()
    images[0, 0, 0, 0] += 1
    assert Windows(replace(demonstrations, images=images), 4, 2, 3).fingerprint() != first


def test_an_epoch_visits_each_window_at_most_once_and_epochs_differ():
    assert steps_per_epoch(10, 3) == 3
    first, second = (torch.cat([batch_indices(10, 3, 0, epoch * 3 + i) for i in range(3)]) for epoch in (0, 1))
    assert len(set(first.tolist())) == len(set(second.tolist())) == 9
    assert not torch.equal(first, second)
    assert not torch.equal(batch_indices(10, 9, seed=0, step=0), batch_indices(10, 9, seed=1, step=0))


def test_a_batch_larger_than_the_windows_is_refused():
    with pytest.raises(ValueError, match="batch_size: 64 is more than the 10 windows"):
        batch_indices(10, 64, seed=0, step=0)


def test_an_episode_too_short_for_a_window_is_named():
    with pytest.raises(ValueError, match="has 2 steps, a window of 5 needs 3; .*--selection.skip-episodes 1"):
        window_rows(np.array([4, 6]), horizon=5, pad_before=1, pad_after=1)
