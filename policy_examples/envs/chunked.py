"""Episodes of a task as a gymnasium environment whose step plays a chunk of actions."""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict

from policy_examples.envs.contract import Environment, Observation
from policy_examples.envs.tasks import ACTIONS_PER_SECOND, suite_of

FILM_SIZE_PX = 256
FILM_EVERY = 2
"""Actions a film frame."""


@dataclass(frozen=True)
class Interface:
    """What a policy reads before it decides, and what it answers."""

    reads: tuple[str, ...]
    """Observation keys, such as image and agent_pos."""
    observation_steps: int
    """To: the last observations that it reads."""
    action_steps: int
    """Ta: actions that it answers."""
    state_size: int
    """P: numbers in agent_pos."""
    action_size: int
    """A: numbers in an action."""


class ChunkedEnv(gymnasium.Env):
    """Episodes of one task, one after the other; only the observations that the policy reads are taken.

    `step` plays (Ta, A) actions, fewer where the episode ends, and returns the last To observations, (To, ...) each.
    It ends an episode, with info {"success", "steps"}, at the first solved step where success is "ever", else after its
    last step, which then decides. `reset(seed=...)` begins an episode; without a seed it begins that of `next_seed`,
    or idles where this is None: gymnasium's automatic reset, which gives no seed, takes the one that it finds there.

    Args:
        open_env: opens the simulator, at the first reset.
        interface: of the policy.
        image_size_px: of the frames that it reads.
        points: of the clouds that it reads.

    Attributes:
        next_seed: of the episode after this one; None where there is none.
        film: takes a frame of 256 px every second action, then the last; None films nothing.

    Raises:
        ValueError: a policy that reads points without a number of them; at the first reset, a policy of other sizes.
    """

    def __init__(
        self,
        open_env: Callable[[], AbstractContextManager[Environment]],
        interface: Interface,
        image_size_px: int,
        points: int | None = None,
    ) -> None:
        self.observation_space = Dict(
            {key: observation_space(key, interface, image_size_px, points) for key in interface.reads}
        )
        self.action_space = Box(-np.inf, np.inf, (interface.action_steps, interface.action_size), np.float32)
        self.next_seed: int | None = None
        self.film: list[np.ndarray] | None = None
        self._open, self._opened, self._interface = open_env, ExitStack(), interface
        self._env: Environment | None = None
        self._steps, self._playing = 0, False
        self._seen: deque[Observation] = deque(maxlen=interface.observation_steps)

    @property
    def frames_rendered(self) -> int:
        """Frames drawn so far, those of films included."""
        return 0 if self._env is None else self._env.frames_rendered

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the episode of `seed`, or of `next_seed`; the first observation stands for all To."""
        seed = self.next_seed if seed is None else seed
        self._playing = seed is not None
        if seed is None and not self._seen:
            raise ValueError("seed: expected that of an episode at the first reset, got None.")
        if seed is not None:
            self._simulator().reset(seed)
            self._steps = 0
            self._seen.extend([self._observe()] * self._interface.observation_steps)
        return self._window(), {}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play (Ta, A) actions; returns observation, 0, solved, out of time, {"success", "steps"} at the end."""
        if not self._playing:
            return self._window(), 0.0, False, False, {}
        env = self._simulator()
        left = env.episode_steps - self._steps
        # What is seen after the episode's last action is read by no decision.
        first_read = len(action) - self._interface.observation_steps if left > len(action) else left
        for index, single in enumerate(action[:left]):
            self._film_unless(self._steps % FILM_EVERY)
            solved = bool(env.step(single))
            self._steps += 1
            if (solved and env.solved == "ever") or self._steps == env.episode_steps:
                self._film_unless(False)
                self._playing = False
                return self._window(), 0.0, solved, not solved, {"success": solved, "steps": self._steps}
            if index >= first_read:
                self._seen.append(self._observe())
        return self._window(), 0.0, False, False, {}

    def close(self) -> None:
        """Free what was opened."""
        self._opened.close()

    def _simulator(self) -> Environment:
        if self._env is None:
            env = self._opened.enter_context(self._open())
            require_matching(env, self._interface)
            self._env = env
        return self._env

    def _observe(self) -> Observation:
        """What the policy reads; agent_pos alone costs no rendering."""
        env, keys = self._simulator(), self._interface.reads
        observation = env.observe() if keys != ("agent_pos",) else {"agent_pos": env.agent_pos()}
        missing = [key for key in keys if key not in observation]
        if missing:
            raise ValueError(f"task: the policy reads {', '.join(keys)}, {env.task} shows {', '.join(observation)}.")
        return {key: observation[key] for key in keys}

    def _window(self) -> Observation:
        return {key: np.stack([observation[key] for observation in self._seen]) for key in self._interface.reads}

    def _film_unless(self, skip: object) -> None:
        if self.film is not None and not skip:
            self.film.append(self._simulator().frame(FILM_SIZE_PX))


def film_fps(task: str) -> float:
    """Frames a second at which the film of an episode runs in real time; raises ValueError for an unknown task."""
    return ACTIONS_PER_SECOND[suite_of(task)] / FILM_EVERY


def observation_space(key: str, interface: Interface, image_size_px: int, points: int | None) -> Box:
    """The space of To observations of one key; raises ValueError for points without a number of them."""
    steps = interface.observation_steps
    if key == "agent_pos":
        return Box(-np.inf, np.inf, (steps, interface.state_size), np.float32)
    if key != "point_cloud":
        return Box(0, 255, (steps, image_size_px, image_size_px, 3), np.uint8)
    if points is None:
        raise ValueError("points: the policy reads point clouds, expected the number of their points, got None.")
    return Box(-np.inf, np.inf, (steps, points, 3), np.float32)


def require_matching(env: Environment, interface: Interface) -> None:
    """Raise a ValueError where a policy of other sizes meets a task."""
    found = {"agent_pos": env.state_size, "action": env.action_size}
    learned = {"agent_pos": interface.state_size, "action": interface.action_size}
    if found != learned:
        raise ValueError(f"task: {env.task} has sizes {found}, the policy learned from a task with {learned}.")
