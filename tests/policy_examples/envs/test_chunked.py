from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest

from policy_examples.envs.chunked import ChunkedEnv, Interface, film_fps

INTERFACE = Interface(("image", "agent_pos"), observation_steps=2, action_steps=3, state_size=1, action_size=1)


class Walk:
    """A walk along a line of numbers: an action is a step, 5 and above is solved, an image shows the place."""

    task = "walk"
    image_size_px, points, state_size, action_size, episode_steps = 4, None, 1, 1, 8
    frames_rendered = 0

    def __init__(self, solved):
        self.solved = solved

    def reset(self, seed):
        self.place = seed

    def step(self, action):
        self.place += int(action[0])
        return self.place >= 5

    def observe(self):
        self.frames_rendered += 1
        return {"image": np.full((4, 4, 3), self.place, np.uint8), "agent_pos": self.agent_pos()}

    def agent_pos(self):
        return np.array([self.place], np.float32)

    def frame(self, size_px):
        return np.full((size_px, size_px, 3), self.place, np.uint8)


def episodes_of(env, interface=INTERFACE, points=None):
    return ChunkedEnv(partial(nullcontext, env), interface, env.image_size_px, points)


def chunk(*steps):
    return np.array(steps, np.float32)[:, None]


def test_a_step_plays_the_chunk_and_returns_the_last_observations():
    episodes = episodes_of(Walk("ever"))
    first, _ = episodes.reset(seed=0)
    assert first["agent_pos"].tolist() == [[0], [0]]
    seen, _, solved, late, info = episodes.step(chunk(1, 1, 1))
    assert seen["agent_pos"].tolist() == [[2], [3]]
    assert seen["image"].shape == (2, 4, 4, 3)
    assert seen["image"][:, 0, 0, 0].tolist() == [2, 3]
    assert (solved, late, info) == (False, False, {})
    assert episodes.observation_space.contains(seen)


def test_a_chunk_shorter_than_what_is_read_keeps_the_older_observations():
    interface = Interface(("agent_pos",), observation_steps=3, action_steps=1, state_size=1, action_size=1)
    episodes = episodes_of(Walk("ever"), interface)
    episodes.reset(seed=0)
    episodes.step(chunk(1))
    seen = episodes.step(chunk(2))[0]
    assert seen["agent_pos"].tolist() == [[0], [1], [3]]


def test_success_ever_ends_the_episode_at_the_first_solved_step():
    episodes = episodes_of(Walk("ever"))
    episodes.reset(seed=3)
    *_, solved, late, info = episodes.step(chunk(1, 1, -1))
    assert (solved, late, info) == (True, False, {"success": True, "steps": 2})


@pytest.mark.parametrize(("last", "success"), [(0, True), (-1, False)])
def test_success_at_the_end_is_that_of_the_last_step_alone(last, success):
    """Eight steps; the first three solve the task, the last undoes it or not."""
    episodes = episodes_of(Walk("end"))
    episodes.reset(seed=4)
    assert episodes.step(chunk(1, 0, 0))[2:] == (False, False, {})
    assert episodes.step(chunk(0, 0, 0))[2:] == (False, False, {})
    *_, solved, late, info = episodes.step(chunk(0, last, 9))
    assert (solved, late, info) == (success, not success, {"success": success, "steps": 8})


def test_only_the_frames_that_are_read_are_rendered():
    """One at the reset, two after each chunk but the last, which no decision follows: 8 steps are 3 + 3 + 2."""
    env = Walk("ever")
    episodes = episodes_of(env)
    episodes.reset(seed=0)
    for _ in range(3):
        episodes.step(chunk(0, 0, 0))
    assert env.frames_rendered == 1 + 2 + 2


def test_proprioception_alone_renders_nothing():
    env = Walk("ever")
    episodes = episodes_of(env, Interface(("agent_pos",), 2, 3, 1, 1))
    episodes.reset(seed=0)
    assert set(episodes.step(chunk(0, 0, 0))[0]) == {"agent_pos"}
    assert env.frames_rendered == 0


def test_a_reset_without_a_seed_takes_the_next_one_and_idles_where_there_is_none():
    episodes = episodes_of(Walk("ever"))
    with pytest.raises(ValueError, match="seed: expected that of an episode at the first reset, got None"):
        episodes.reset()
    episodes.next_seed = 2
    assert episodes.reset()[0]["agent_pos"].tolist() == [[2], [2]]
    episodes.next_seed = None
    episodes.reset()
    assert episodes.step(chunk(1, 1, 1))[0]["agent_pos"].tolist() == [[2], [2]]


def test_a_film_has_every_second_step_and_the_last():
    episodes = episodes_of(Walk("ever"))
    episodes.film = []
    episodes.reset(seed=0)
    episodes.step(chunk(1, 1, 1))
    episodes.step(chunk(1, 1, 1))
    assert [frame[0, 0, 0] for frame in episodes.film] == [0, 2, 4, 5]


def test_a_film_of_every_second_action_runs_at_half_the_actions_a_second():
    assert {task: film_fps(task) for task in ("reach", "adroit-door")} == {"reach": 80 / 2, "adroit-door": 50 / 2}


def test_a_policy_of_other_sizes_is_refused():
    episodes = episodes_of(Walk("ever"), Interface(("agent_pos",), 2, 3, 24, 28))
    with pytest.raises(ValueError, match=r"task: walk has sizes .*'agent_pos': 1.* the policy .*'agent_pos': 24"):
        episodes.reset(seed=0)


def test_a_policy_that_reads_what_the_task_does_not_show_is_refused():
    episodes = episodes_of(Walk("ever"), Interface(("image_wrist", "agent_pos"), 2, 3, 1, 1))
    with pytest.raises(ValueError, match="the policy reads image_wrist, agent_pos, walk shows image, agent_pos"):
        episodes.reset(seed=0)
    with pytest.raises(ValueError, match="points: the policy reads point clouds, expected the number of their points"):
        episodes_of(Walk("ever"), Interface(("point_cloud", "agent_pos"), 2, 3, 1, 1))
