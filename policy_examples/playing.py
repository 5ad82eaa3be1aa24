"""Plays episodes with a policy that decides for all open environments at once."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor

from policy_examples.envs.chunked import ChunkedEnv, Interface
from policy_examples.envs.contract import Environment
from policy_examples.envs.vector import SideBySide
from policy_examples.policy import DiffusionPolicy


@dataclass(frozen=True)
class PlayedEpisode:
    """How one episode went."""

    seed: int
    success: bool
    steps: int


def play(policy: DiffusionPolicy, env: Environment, seed: int, frames: list[np.ndarray] | None = None) -> PlayedEpisode:
    """One episode in an environment that is open already; it repeats exactly.

    Args:
        frames: takes a film of it, (256, 256, 3) uint8, every second step.
    """
    episodes = ChunkedEnv(partial(nullcontext, env), interface_of(policy), env.image_size_px, env.points)
    episodes.film = frames
    alone = SyncVectorEnv([lambda: episodes], copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)
    (episode,) = play_all(policy, alone, [seed])
    return episode


def play_all(
    policy: DiffusionPolicy, vector: SideBySide, seeds: Sequence[int], stop: Callable[[], bool] = lambda: False
) -> Iterator[PlayedEpisode]:
    """Each episode as it ends; an environment that has ended one takes the next seed.

    The policy decides for all environments that wait for it in one batch; an episode's noise follows its seed.

    Args:
        vector: `ChunkedEnv` side by side, at most as many as seeds.
        stop: asked before each chunk of actions; nothing is played after it has said True.
    """
    device = next(policy.parameters()).device
    waiting = deque(seeds)
    playing = {slot: waiting.popleft() for slot in range(vector.num_envs)}
    noise = {slot: torch.Generator().manual_seed(seed) for slot, seed in playing.items()}
    actions = np.zeros((vector.num_envs, policy.shape.action_steps, policy.shape.action_size), np.float32)
    observations, _ = vector.reset(seed=list(playing.values()))
    ended: set[int] = set()
    while playing and not stop():
        acting = [slot for slot in playing if slot not in ended]  # the step takes the ended to their next seed
        if acting:
            with few_threads(len(acting)):
                chunks = policy.predict_action(to_tensors(observations, acting, device), [noise[i] for i in acting])
            actions[acting] = chunks.float().cpu().numpy()  # (B, Ta, A)
        observations, _, solved, late, info = vector.step(actions)
        ended = set(np.flatnonzero(solved | late).tolist())
        for slot in sorted(ended):
            yield PlayedEpisode(playing.pop(slot), bool(info["success"][slot]), int(info["steps"][slot]))
            if waiting:
                playing[slot] = waiting.popleft()
                noise[slot] = torch.Generator().manual_seed(playing[slot])
        if ended:
            vector.set_attr("next_seed", [playing.get(slot) for slot in range(vector.num_envs)])


@contextmanager
def few_threads(batch: int) -> Iterator[None]:
    """A thread for every four observations: on busy cores, waiting for others costs far more than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, max(1, batch // 4)))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def to_tensors(observations: dict[str, np.ndarray], slots: list[int], device: torch.device) -> dict[str, Tensor]:
    """What some environments show, (slots, To, ...), as a policy reads it, images (B, To, 3, H, W) uint8."""
    tensors = {key: torch.from_numpy(values[slots]) for key, values in observations.items()}
    return {
        key: (values.permute(0, 1, 4, 2, 3) if values.dtype == torch.uint8 else values).to(device)
        for key, values in tensors.items()
    }


def interface_of(policy: DiffusionPolicy) -> Interface:
    """What environments need to know of a policy."""
    shape = policy.shape
    return Interface(policy.reads, shape.observation_steps, shape.action_steps, shape.state_size, shape.action_size)
