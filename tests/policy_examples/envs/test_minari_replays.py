import numpy as np
import pytest

from policy_examples.envs.adroit import Adroit
from policy_examples.envs.minari_replays import load_minari, replays

pytestmark = [
    pytest.mark.usefixtures("rendering"),
    pytest.mark.filterwarnings("ignore:.*:UserWarning:minari"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:minari"),
]

STEPS = 20


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """(task, with its first state) -> a data set of one episode of random actions, and the environment it came from."""
    import minari
    from minari.data_collector.episode_buffer import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    def record(task: str, with_state: bool = True):
        env = Adroit(task, image_size_px=32, render="fast")
        env.reset(seed=7)
        simulator, random = env.simulator, np.random.default_rng(0)
        state = {name: value for name, value in simulator.get_env_state().items() if name != "target_pos"}
        observations = [env.reset_to(state)]
        actions = random.uniform(-1, 1, (STEPS, env.action_size)).astype(np.float32)
        for action in actions:
            observations.append(simulator.step(action)[0])
        buffer = EpisodeBuffer(
            options={"initial_state_dict": state} if with_state else None,
            observations=observations,
            actions=list(actions),
            rewards=[0.0] * STEPS,
            terminations=[False] * STEPS,
            truncations=[False] * (STEPS - 1) + [True],
            infos={},
        )
        dataset = minari.create_dataset_from_buffers(
            "adroit/recorded-v0",
            [buffer],
            action_space=simulator.action_space,
            observation_space=simulator.observation_space,
        )
        return dataset, env

    return record


@pytest.mark.parametrize("task", ["adroit-door", "adroit-hammer", "adroit-pen"])
def test_a_replay_passes_through_the_states_that_were_recorded(recorded, task):
    dataset, env = recorded(task)
    env.reset(seed=8)  # the replay brings its own state
    with env:
        (replay,) = replays(dataset, env)
        last = env._full_state
    episode = dataset[0]
    assert len(replay.observations) == len(replay.actions) == len(replay.solved) == STEPS // 2
    np.testing.assert_allclose(last, episode.observations[-1], atol=1e-9)
    np.testing.assert_allclose(replay.actions[0], episode.actions[:2].mean(axis=0), atol=1e-6)
    assert replay.observations[0]["image"].shape == (32, 32, 3)
    assert replay.observations[3]["agent_pos"].shape == (24,)


def test_a_recording_of_another_task_is_refused(recorded):
    dataset, env = recorded("adroit-door")
    with (
        env,
        Adroit("adroit-pen", 32, "fast") as pen,
        pytest.raises(ValueError, match=r"shape \(28,\), adroit-pen has"),
    ):
        next(replays(dataset, pen))


def test_a_recording_that_does_not_say_where_it_began_is_refused(recorded):
    dataset, env = recorded("adroit-door", with_state=False)
    with env, pytest.raises(ValueError, match="does not say in which state it began"):
        next(replays(dataset, env))


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # its client tries for 20 s otherwise
    with pytest.raises(ValueError, match=r"D4RL/door/expert-v2 is not in Minari's folder.*minari download") as refused:
        load_minari("adroit-door")
    assert "\n" not in str(refused.value)
