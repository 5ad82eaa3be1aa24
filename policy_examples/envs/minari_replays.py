"""Minari's D4RL expert sets of Adroit, played again before our camera."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from policy_examples.envs.adroit import ACTION_REPEAT, Adroit
from policy_examples.envs.contract import Observation
from policy_examples.envs.published import ADROIT, require_known

if TYPE_CHECKING:
    from minari import MinariDataset

DATASETS = {task: f"D4RL/{task.removeprefix('adroit-')}/expert-v2" for task in ADROIT}
SAME = 1e-3
"""How far the first replayed observation may be from the recorded one, which was kept in other precision."""


@dataclass(frozen=True)
class Replay:
    """One recorded episode in our terms.

    The recording has an action for each simulator step, we one for two: theirs are averaged. Acted out blindly from the
    first state, DAPG's averaged actions solve door and hammer as often as its own do, the pen in 14 of 20 episodes
    instead of 16.
    """

    episode: int
    """Its number in the data set."""
    observations: list[Observation]
    """L, each before its action."""
    actions: np.ndarray
    """(L, A) float32 in [-1, 1]."""
    solved: np.ndarray
    """(L,) bool, after each action; the task's success is the last."""


def load_minari(task: str) -> "MinariDataset":
    """The expert set of an Adroit task, downloaded where Minari does not have it yet.

    Raises:
        ValueError: not a task of Adroit, the package is missing, or the set cannot be had.
    """
    require_known(task, ADROIT)
    name = DATASETS[task]
    try:
        import minari
    except ImportError as error:
        raise ValueError(
            f"minari: reading {name} needs a package that is not installed: pip install 'minari[hdf5,hf]'."
        ) from error
    try:
        return minari.load_dataset(name, download=True)
    except Exception as error:  # of Minari, of its hub's client, or of the network, each with its own classes
        raise ValueError(
            f"minari: {name} is not in Minari's folder and could not be downloaded ({error}); without a network, "
            f"copy the folder there from a machine that ran `minari download {name}`, or use DAPG's policies instead."
        ) from error


def replays(dataset: "MinariDataset", env: Adroit) -> Iterator[Replay]:
    """Every episode, up to the length of ours, one after the other.

    The simulator begins in the recorded state, takes the recorded actions, and is observed before every second.

    Raises:
        ValueError: the data set is of another task, or does not say in which state an episode began.
    """
    size = dataset.action_space.shape
    if size != (env.action_size,):
        raise ValueError(f"minari: {dataset.id} has actions of shape {size}, {env.task} has ({env.action_size},).")
    for episode in dataset.iterate_episodes():
        began = env.reset_to(_first_state(dataset, episode.id))
        if not np.allclose(began, episode.observations[0], atol=SAME):
            raise ValueError(
                f"minari: episode {episode.id} of {dataset.id} and {env.task} differ in what they observe of the same "
                "state; the set is of another simulator."
            )
        steps = min(len(episode.actions) // ACTION_REPEAT, env.episode_steps)
        taken = episode.actions[: steps * ACTION_REPEAT].reshape(steps, ACTION_REPEAT, env.action_size)
        observations, solved = [], []
        for actions in taken:
            observations.append(env.observe())
            solved.append(env.step_each(actions))
        averaged = np.clip(taken, -1, 1).mean(axis=1, dtype=np.float64).astype(np.float32)
        yield Replay(episode.id, observations, averaged, np.array(solved))


def _first_state(dataset: "MinariDataset", episode: int) -> dict[str, Any]:
    """The state that the recording was reset to; Minari keeps it among the options of the reset."""
    (metadata,) = dataset.storage.get_episode_metadata([episode])
    try:
        return metadata["options"]["initial_state_dict"]
    except KeyError:
        raise ValueError(
            f"minari: episode {episode} of {dataset.id} does not say in which state it began; the D4RL expert sets do."
        ) from None
