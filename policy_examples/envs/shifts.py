"""Scenes that differ from those of the demonstrations in one respect, as in the paper's real-world trials."""

from typing import Any, Literal, get_args

import numpy as np

from policy_examples.envs.adroit import Adroit
from policy_examples.envs.appearance import Appearance
from policy_examples.envs.camera import Decoration
from policy_examples.envs.contract import Observation, Solved
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.placements import place_adroit_beyond, place_metaworld_beyond
from policy_examples.envs.published import ADROIT
from policy_examples.envs.scenery import robot_and_table

ShiftName = Literal["position", "camera", "light", "table-colour", "object-colour", "distractors", "push"]
PUSH_SHARE = 0.05
PUSH_BEGINS = (0.1, 0.25)
"""Shares of `episode_steps`, the longest episode; one that ends before the push begins is never pushed."""
ADROIT_PUSH = 0.5
"""Added to the commands of arm and wrist, or taken from them; their range is -1 to 1."""


def require_known_shift(name: str) -> None:
    """Raise a ValueError that lists the shifts where there is no such one."""
    if name not in get_args(ShiftName):
        raise ValueError(f"shift: accepted are {', '.join(map(repr, get_args(ShiftName)))}, got {name!r}.")


class Shifted:
    """An environment in which one thing differs; how much of it follows from the episode's seed alone.

    Only `position` moves anything of the task, only `push` acts on it.

    Args:
        env: closed with this one.
        name: a `ShiftName`.

    Raises:
        ValueError: there is no such shift.
    """

    def __init__(self, env: MetaWorld | Adroit, name: str) -> None:
        require_known_shift(name)
        self._env, self.shift = env, name
        self.task: str = env.task
        self.image_size_px: int = env.image_size_px
        self.points: int | None = env.points
        self.state_size: int = env.state_size
        self.action_size: int = env.action_size
        self.episode_steps: int = env.episode_steps
        self.solved: Solved = env.solved
        self.simulator: Any = env.simulator
        self._adroit = env.task in ADROIT
        self._appearance = Appearance(env.simulator, *robot_and_table(env.task), env.decorations)
        if name == "position":
            place = place_adroit_beyond if self._adroit else place_metaworld_beyond
            place(env.simulator, env.task)
        self._steps, self._pushed_steps, self._push = 0, range(0), np.zeros(0, np.float32)

    def reset(self, seed: int) -> None:
        """Begin the episode, then let the shift of its seed happen."""
        self._env.reset(seed)
        self._steps = 0
        random = np.random.default_rng([seed, *self.shift.encode()])
        looks = self._appearance
        match self.shift:
            case "camera":
                looks.move_cameras(random)
            case "light":
                looks.change_light(random)
            case "table-colour":
                looks.paint_table(random)
            case "object-colour":
                looks.paint_objects(random)
            case "distractors":
                looks.add_distractors(random, self.simulator.model.camera(self.camera).id)
            case "push":
                self._plan_push(random)

    def step(self, action: np.ndarray) -> bool:
        """Act; while it lasts, a push moves MetaWorld's hand, whatever the action, or is added to Adroit's commands."""
        action = np.array(action, dtype=np.float32)
        if self._steps in self._pushed_steps:
            arm = len(self._push)
            action[:arm] = self._push + (np.clip(action[:arm], -1, 1) if self._adroit else 0)
        self._steps += 1
        return self._env.step(action)

    def _plan_push(self, random: np.random.Generator) -> None:
        """MetaWorld: a horizontal direction, full speed. Adroit: an offset of either sign a joint of arm and wrist."""
        begins = round(random.uniform(*PUSH_BEGINS) * self.episode_steps)
        self._pushed_steps = range(begins, begins + max(1, round(PUSH_SHARE * self.episode_steps)))
        if self._adroit:
            model = self.simulator.model
            arm = [joint for joint in range(model.nu) if model.actuator(joint).name.startswith(("A_AR", "A_WR"))]
            self._push = ADROIT_PUSH * random.choice([-1, 1], len(arm)).astype(np.float32)
        else:
            angle = random.uniform(0, 2 * np.pi)
            self._push = np.array([np.cos(angle), np.sin(angle), 0], np.float32)

    def observe(self) -> Observation:
        """What a policy reads; renders once."""
        return self._env.observe()

    def agent_pos(self) -> np.ndarray:
        """(P,) float32: proprioception alone; renders nothing."""
        return self._env.agent_pos()

    def frame(self, size_px: int) -> np.ndarray:
        """The scene as (size_px, size_px, 3) uint8, RGB, upright."""
        return self._env.frame(size_px)

    @property
    def camera(self) -> str:
        """The name of the camera in the simulator's model."""
        return self._env.camera

    @property
    def decorations(self) -> list[Decoration]:
        """Bodies that are drawn beside the model's."""
        return self._env.decorations

    @property
    def frames_rendered(self) -> int:
        """Frames drawn so far."""
        return self._env.frames_rendered

    def expert_action(self) -> np.ndarray:
        """(A,) float32 of the task's expert, which sees the simulator's full state."""
        return self._env.expert_action()

    def close(self) -> None:
        """Free the cameras."""
        self._env.close()

    def __enter__(self) -> "Shifted":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
