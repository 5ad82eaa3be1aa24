from typing import Any

import numpy as np
import pytest

from policy_examples import demos
from policy_examples.attempts import Plan, demonstrate, open_attempts
from policy_examples.envs.adroit import Adroit
from policy_examples.envs.experts import load_expert
from policy_examples.envs.tasks import TaskConfig


class Counter:
    """Ten steps of an environment whose number of a step is all there is to see; solved at the steps given."""

    episode_steps = 10

    def __init__(self, solved_at, solved="ever"):
        self.solved_at, self.solved = solved_at, solved

    def reset(self, seed):
        self.step_number = 0

    def step(self, action):
        self.step_number += 1
        return self.step_number in self.solved_at

    def observe(self):
        return {"image": np.full((2, 2, 3), self.step_number, np.uint8), "agent_pos": self.agent_pos()}

    def agent_pos(self):
        return np.array([self.step_number], np.float32)

    def expert_action(self):
        return -self.agent_pos()


def test_an_action_stands_beside_what_was_seen_before_it():
    counter: Any = Counter(range(1, 11))
    episode = demonstrate(counter, seed=0, steps_after_success=None)
    assert episode is not None
    assert episode["state"][:, 0].tolist() == list(range(10))
    assert episode["action"][:, 0].tolist() == [-step for step in range(10)]
    assert episode["img"][:, 0, 0, 0].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("solved_at", "judged", "kept_after_success", "steps"),
    [
        ({2, 3, 4, 5, 6}, "ever", None, 10),
        ({2, 3, 4, 5}, "ever", None, None),
        ({2, 3, 4, 5}, "ever", 3, 5),
        ({2, 3, 5}, "ever", 3, None),
        ({2}, "ever", 0, 2),
        ({6, 7, 8, 9, 10}, "end", None, 10),
        ({5, 6, 7, 8, 9}, "end", None, None),
        ({5, 6, 7, 8, 9}, "end", 4, 9),
    ],
)
def test_an_episode_counts_with_five_solved_steps_and_a_solved_end_where_that_decides(
    solved_at, judged, kept_after_success, steps
):
    counter: Any = Counter(solved_at, judged)
    episode = demonstrate(counter, seed=0, steps_after_success=kept_after_success)
    assert (None if episode is None else len(episode["action"])) == steps


@pytest.fixture
def recordings(tmp_path, monkeypatch, adroit_experts):
    """Minari's set of the door, its first episode of an arm at rest, its second of the expert."""
    import minari
    from minari.data_collector.episode_buffer import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    policy = load_expert("adroit-door", adroit_experts)
    buffers = []
    with Adroit("adroit-door", 32, "fast") as env:
        for act in (lambda seen: np.zeros(28), policy.act):
            env.reset(seed=3)
            state = env.simulator.get_env_state()
            observations, actions = [env.reset_to(state)], []
            for _ in range(200):
                actions.append(np.clip(act(observations[-1]), -1, 1).astype(np.float32))
                observations.append(env.simulator.step(actions[-1])[0])
            buffers.append(
                EpisodeBuffer(
                    options={"initial_state_dict": state},
                    observations=observations,
                    actions=actions,
                    rewards=[0.0] * 200,
                    terminations=[False] * 200,
                    truncations=[False] * 199 + [True],
                    infos={},
                )
            )
        minari.create_dataset_from_buffers(
            "D4RL/door/expert-v2",
            buffers,
            action_space=env.simulator.action_space,
            observation_space=env.simulator.observation_space,
        )


@pytest.mark.usefixtures("rendering", "recordings")
@pytest.mark.filterwarnings("ignore:.*:UserWarning:minari", "ignore:.*:DeprecationWarning:minari")
def test_recordings_of_minari_that_succeed_are_demonstrations():
    task = TaskConfig("adroit-door", image_size_px=32, render="fast")
    with open_attempts(Plan(task, steps_after_success=None, source="minari")) as attempt:
        assert attempt(0) is None
        episode = attempt(1)
        with pytest.raises(ValueError, match="seed: D4RL/door/expert-v2 has recordings 0 to 1, asked for 2"):
            attempt(2)
    assert episode is not None
    shapes = {name: values.shape for name, values in episode.items()}
    assert shapes == {"img": (100, 32, 32, 3), "state": (100, 24), "action": (100, 28)}
    with open_attempts(Plan(task, steps_after_success=6, source="minari")) as attempt:
        cut = attempt(1)
    assert cut is not None
    assert len(cut["action"]) < 100
    assert np.array_equal(cut["img"], episode["img"][: len(cut["img"])])


@pytest.mark.usefixtures("rendering", "recordings")
@pytest.mark.filterwarnings("ignore:.*:UserWarning:minari", "ignore:.*:DeprecationWarning:minari")
def test_a_collection_from_minari_says_which_recordings_it_holds():
    config = demos.Config(task="adroit-door", source="minari", episodes=1, image_size_px=32, render="fast")
    collected = demos.collect(config)
    assert (collected.origin["source"], collected.origin["recordings"]) == ("minari", [1])
    assert collected.images.shape == (100, 32, 32, 3)


@pytest.mark.usefixtures("rendering")
def test_minari_has_no_recordings_of_metaworld():
    plan = Plan(TaskConfig("reach", 32, "fast"), steps_after_success=None, source="minari")
    with pytest.raises(ValueError, match="source: Minari's recordings are of Adroit's tasks, got reach"):  # noqa: SIM117
        with open_attempts(plan):
            pass
