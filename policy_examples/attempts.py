"""What one attempt at a demonstration gives."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from policy_examples.envs.contract import Environment, Observation, Solved
from policy_examples.envs.tasks import TaskConfig, open_environment
from policy_examples.formats.episodes import Episode

if TYPE_CHECKING:
    from minari import MinariDataset

    from policy_examples.envs.adroit import Adroit

Source = Literal["expert", "minari"]
Attempt = Callable[[int], Episode | None]
"""Seed, or number of a recording, -> the demonstration, or None if it is no success."""

REQUIRED_SOLVED_STEPS = 5
"""DP3 keeps an episode as a demonstration from this many solved steps on."""
_ARRAYS = {"image": "img", "agent_pos": "state", "point_cloud": "point_cloud"}


@dataclass(frozen=True)
class Plan:
    """What decides an attempt, together with its seed."""

    task: TaskConfig
    steps_after_success: int | None
    """Steps kept after the first solved one; None keeps the whole episode."""
    source: Source = "expert"
    """`minari` replays recorded episodes of Adroit; their numbers stand for seeds."""
    experts: Path | None = None
    """Folder of Adroit's experts."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of the simulator's packages, and the sha256 of Adroit's expert: under others the same seed may be another
    episode."""


@contextmanager
def open_attempts(plan: Plan) -> Iterator[Attempt]:
    """The attempts of a plan, with a simulator that is freed at the end.

    Raises:
        ValueError: unknown task, or a source that has no such task.
        RenderingError: this machine cannot render without a window.
    """
    from policy_examples.envs.adroit import Adroit
    from policy_examples.envs.minari_replays import load_minari

    with open_environment(plan.task, plan.experts) as env:
        if plan.source == "expert":
            yield lambda seed: demonstrate(env, seed, plan.steps_after_success)
            return
        if not isinstance(env, Adroit):
            raise ValueError(
                f"source: Minari's recordings are of Adroit's tasks, got {plan.task.task}; use the expert."
            )
        dataset = load_minari(plan.task.task)
        yield lambda number: replay(dataset, env, number, plan.steps_after_success)


def demonstrate(env: Environment, seed: int, steps_after_success: int | None) -> Episode | None:
    """One episode of the expert, or None if it is no success; see `succeeds`."""
    env.reset(seed)
    observations, actions, solved = [], [], []
    remaining = env.episode_steps
    while remaining > 0:
        observations.append(env.observe())
        actions.append(env.expert_action())
        solved.append(env.step(actions[-1]))
        remaining -= 1
        if solved[-1] and sum(solved) == 1 and steps_after_success is not None:
            remaining = min(remaining, steps_after_success)
    if not succeeds(solved, env.solved, steps_after_success):
        return None
    return as_episode(observations, actions)


def replay(dataset: "MinariDataset", env: "Adroit", number: int, steps_after_success: int | None) -> Episode | None:
    """One recorded episode played again, or None if it is no success; see `succeeds`.

    Raises:
        ValueError: there is no such recording.
    """
    from minari import MinariDataset

    from policy_examples.envs.minari_replays import replays

    if number >= dataset.total_episodes:
        raise ValueError(f"seed: {dataset.id} has recordings 0 to {dataset.total_episodes - 1}, asked for {number}.")
    (recording,) = replays(MinariDataset(dataset.storage, np.array([number])), env)
    solved = [bool(step) for step in recording.solved]
    steps = len(solved)
    if True in solved and steps_after_success is not None:
        steps = min(steps, solved.index(True) + 1 + steps_after_success)
    if not succeeds(solved[:steps], env.solved, steps_after_success):
        return None
    return as_episode(recording.observations[:steps], recording.actions[:steps])


def succeeds(solved: Sequence[bool], judged: Solved, steps_after_success: int | None) -> bool:
    """Whether the kept steps are a demonstration.

    At least five of them are solved, or all that can be if fewer are kept, and where success is judged at the end the
    last one is.
    """
    required = REQUIRED_SOLVED_STEPS
    if steps_after_success is not None:
        required = min(required, steps_after_success + 1)
    return sum(solved) >= required and (judged == "ever" or solved[-1])


def as_episode(observations: Sequence[Observation], actions: Sequence[np.ndarray] | np.ndarray) -> Episode:
    """Arrays of all steps under the names of a store."""
    episode = {_ARRAYS[key]: np.stack([seen[key] for seen in observations]) for key in observations[0]}
    return episode | {"action": np.stack(list(actions))}
