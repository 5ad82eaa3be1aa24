"""Adroit's door, hammer, pen: a dexterous hand, seen and acted on as in 3D Diffusion Policy (DP3)."""

import contextlib
import importlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.envs.adroit_tasks import ADROIT_TASKS
from policy_examples.envs.camera import Decoration, Render, require_headless_rendering
from policy_examples.envs.contract import Observation, Solved
from policy_examples.envs.experts import Expert, load_expert
from policy_examples.envs.published import ADROIT, require_known
from policy_examples.envs.view import View

ACTION_REPEAT = 2
DROPPED_M = 0.075
"""A pen below this height has fallen out of the hand."""


def _open_simulator(module: str, name: str) -> Any:
    # gymnasium-robotics prints, when imported, a notice about its rewards, which nothing here reads.
    with contextlib.redirect_stderr(io.StringIO()):
        imported = importlib.import_module(f"gymnasium_robotics.envs.adroit_hand.{module}")
    return getattr(imported, name)()


class Adroit:
    """One task; a frame is rendered when it is asked for, never by stepping.

    The reset's seed alone places the door, the nail's board, or turns the target pen. The arm is not part of
    `agent_pos`. A dropped pen ends its episode, as in DP3: from then on nothing moves, and the task stays solved or
    unsolved as it was.
    """

    state_size = 24
    solved: Solved = "end"

    def __init__(
        self,
        task: str,
        image_size_px: int = 84,
        render: Render = "reference",
        points: int | None = None,
        experts: Path | None = None,
        rendered_px: int | None = None,
    ) -> None:
        require_known(task, ADROIT)
        require_headless_rendering()
        self.task, self.image_size_px, self.points = task, image_size_px, points
        self._task, self._experts = ADROIT_TASKS[task], experts
        self.action_size = self._task.action_size
        self.episode_steps = self._task.simulator_steps // ACTION_REPEAT
        self.simulator: Any = _open_simulator(*self._task.simulator)
        if task == "adroit-pen":
            for geom in ("pen", "target"):  # DP3's are opaque, today's transparent
                self.simulator.model.geom(geom).rgba[3] = 1
        self._view = View(self.simulator, self._task.placement, render, rendered_px)
        self._expert: Expert | None = None

    def reset(self, seed: int) -> None:
        """Place objects and goal; the same seed gives the same episode, whatever was played before."""
        self._full_state, _ = self.simulator.reset(seed=seed)
        self._ended = False

    def reset_to(self, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """Begin an episode in a state that gymnasium-robotics' `get_env_state` gave.

        Returns:
            The simulator's full observation of it, float64.

        Raises:
            ValueError: a part of the state is missing.
        """
        needed = tuple(self.simulator._state_space)
        if missing := set(needed) - set(state):
            raise ValueError(f"state: {self.task} needs {', '.join(needed)}; missing: {', '.join(sorted(missing))}.")
        # The hammer's `get_env_state` has a key that its `set_env_state` refuses.
        options = {"initial_state_dict": {name: np.asarray(state[name], np.float64) for name in needed}}
        self._full_state, _ = self.simulator.reset(options=options)
        self._ended = False
        return self._full_state

    def step(self, action: np.ndarray) -> bool:
        """Act for two simulator steps, 20 ms of simulated time.

        Args:
            action: (A,) in [-1, 1]: where each joint of arm, then hand, is to go, -1 and 1 the ends of its range.

        Returns:
            Whether the task is solved after this action.
        """
        return self.step_each(np.stack([action] * ACTION_REPEAT))

    def step_each(self, actions: np.ndarray) -> bool:
        """As `step`, with an action of its own for each simulator step, (2, A)."""
        for action in np.clip(np.asarray(actions, dtype=np.float32), -1, 1):
            if not self._ended:
                self._full_state, *_ = self.simulator.step(action)
                self._ended = self._dropped()
        return bool(self._task.solved(self.simulator))

    def _dropped(self) -> bool:
        return self.task == "adroit-pen" and bool(self.simulator.data.body("Object").xpos[2] < DROPPED_M)

    def observe(self) -> Observation:
        """What a policy reads; renders once."""
        return self._view.observe(self.image_size_px, self.points) | {"agent_pos": self.agent_pos()}

    def agent_pos(self) -> np.ndarray:
        """(24,) float32, radians: the hand's joints from the wrist to the thumb."""
        return self.simulator.data.qpos[self._task.hand].astype(np.float32)

    def frame(self, size_px: int) -> np.ndarray:
        """The scene at any size, (H, W, 3) uint8, RGB, upright, not mirrored."""
        return self._view.frame(size_px)

    @property
    def camera(self) -> str:
        """The name of the camera in the simulator's model."""
        return self._view.placement.camera

    @property
    def decorations(self) -> list[Decoration]:
        """Bodies that are drawn beside the model's; change the list, and the next frame shows it."""
        return self._view.decorations

    @property
    def frames_rendered(self) -> int:
        """How many frames this environment has rendered so far."""
        return self._view.frames_rendered

    def expert_action(self) -> np.ndarray:
        """(A,) float32 in [-1, 1], from the task's DAPG policy, which sees the simulator's full state.

        Raises:
            ValueError: the policy's file cannot be had, or is not one.
        """
        if self._expert is None:
            self._expert = load_expert(self.task, self._experts)
        return np.clip(self._expert.act(self._full_state), -1, 1).astype(np.float32)

    def close(self) -> None:
        """Free the cameras."""
        self._view.close()

    def __enter__(self) -> "Adroit":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
