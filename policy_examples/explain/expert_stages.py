"""Stages of MetaWorld's demonstrations, from the branches that their scripted expert takes."""

import numpy as np
from tqdm import tqdm

from policy_examples.envs.contract import Environment
from policy_examples.envs.tasks import TaskConfig, open_environment
from policy_examples.explain.expert_branches import BranchTrace
from policy_examples.explain.stages import Staging, stages_of_labels
from policy_examples.explain.stores import require_all_arrays
from policy_examples.store import Demonstrations

HAND_MAX_M = 0.005
"""How far the hand of a replay may be from the recorded one: another simulator's contacts differ by more."""
BY_TIME = "`--stages time` cuts any demonstrations into equal parts"


def expert_stages(demonstrations: Demonstrations, name: str) -> Staging:
    """Stages of each episode up to its first solved step; what comes after, where the expert waits, has none.

    The recorded actions are played again from the recorded seeds, without rendering. At each step the expert is asked
    what it would do in the simulator's full state, which a store does not keep.

    Args:
        name: of the demonstrations, for people.

    Raises:
        ValueError: no demonstrations of MetaWorld's experts, an expert without branches, a replay that differs.
    """
    require_all_arrays(demonstrations, name, BY_TIME)
    origin, ends = demonstrations.origin, demonstrations.episode_ends
    seeds = origin.get("seeds") or []
    if origin.get("env") != "metaworld" or len(seeds) != len(ends):
        raise ValueError(
            "stages: expected demonstrations of MetaWorld's experts with their seeds, as `xdistill demos` writes, "
            f"got {name} of {origin.get('env', 'an unknown simulator')}; {BY_TIME}."
        )
    labels = []
    progress = tqdm(seeds, desc=f"stages of {name}", unit="episode")
    with open_environment(TaskConfig(origin["task"])) as env:
        for seed, start, end in zip(progress, [0, *ends[:-1]], ends, strict=True):
            rows = slice(int(start), int(end))
            env.reset(seed)
            try:
                labels.append(replay(env, demonstrations.actions[rows], demonstrations.agent_pos[rows]))
            except ValueError as error:
                raise ValueError(f"stages: seed {seed} of {name}: {error}; {BY_TIME}.") from error
    try:
        return stages_of_labels(labels)
    except ValueError as error:
        raise ValueError(f"{error} The expert of {origin['task']} has no more; {BY_TIME}.") from error


def replay(env: Environment, actions: np.ndarray, agent_pos: np.ndarray) -> list[str]:
    """The expert's branch at each step up to the first solved one.

    Args:
        env: just reset.
        actions: (L, A), recorded.
        agent_pos: (L, 9), recorded before each action.

    Raises:
        ValueError: the hand is elsewhere than it was.
    """
    labels = []
    for step, (action, recorded) in enumerate(zip(actions, agent_pos, strict=True)):
        away_m = float(np.abs(env.agent_pos()[:3] - recorded[:3]).max())
        if away_m > HAND_MAX_M:
            raise ValueError(f"at step {step} the hand is {100 * away_m:.1f} cm from where the recording has it")
        with BranchTrace() as trace:
            env.expert_action()
        labels.append(trace.branch)
        if env.step(action):
            break
    return labels
