"""MetaWorld's 50 tasks, seen and acted on as in 3D Diffusion Policy (DP3)."""

import importlib
import warnings
from typing import Any

import numpy as np

from policy_examples.envs.camera import Decoration, Render, require_headless_rendering
from policy_examples.envs.contract import Observation, Solved
from policy_examples.envs.points import Crop
from policy_examples.envs.published import METAWORLD, require_known
from policy_examples.envs.view import Placement, View

_SUFFIX = "-v3-goal-observable"
PLACEMENT = Placement(
    camera="corner2",
    position_m=(0.6, 0.295, 0.8),  # DP3 moves it closer to the table
    quaternion=None,
    upside_down=True,
    crop=Crop(low=(-0.7, 0, 0.005), high=(0.7, 1.1, 1)),  # without the table, whose top is at 0, and the walls
)


class MetaWorld:
    """One task; a frame is rendered when it is asked for, never by stepping.

    Objects and goal are placed afresh at each reset, by its seed alone. The goal is not part of `agent_pos`.
    """

    state_size = 9
    action_size = 4
    episode_steps = 200
    solved: Solved = "ever"

    def __init__(
        self,
        task: str,
        image_size_px: int = 128,
        render: Render = "reference",
        points: int | None = None,
        rendered_px: int | None = None,
    ) -> None:
        require_known(task, METAWORLD)
        require_headless_rendering()
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
        from metaworld.policies import ENV_POLICY_MAP

        self.task, self.image_size_px, self.points = task, image_size_px, points
        simulators: Any = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
        self.simulator: Any = simulators[task + _SUFFIX](seed=0)
        # The private flags are MetaWorld's only way to a fresh placement that follows the seed.
        self.simulator._freeze_rand_vec = False
        self.simulator.seeded_rand_vec = True
        planes = self.simulator.model.vis.map
        planes.znear, planes.zfar = 0.1, 1.5  # times the model's extent
        self._expert_policy = ENV_POLICY_MAP[f"{task}-v3"]
        self._view = View(self.simulator, PLACEMENT, render, rendered_px)

    def reset(self, seed: int) -> None:
        """Place the objects and the goal; the same seed gives the same episode, whatever was played before."""
        self.simulator.seed(seed)
        self.simulator.reset()
        self._follow_placement()
        self._expert = self._expert_policy()

    def _follow_placement(self) -> None:
        # MetaWorld's reset moves bodies after it computed where they are: until the first step, frames and the state
        # that the expert reads would show an earlier placement.
        mujoco: Any = importlib.import_module("mujoco")
        mujoco.mj_kinematics(self.simulator.model, self.simulator.data)
        self.simulator._prev_obs = self.simulator._get_curr_obs_combined_no_goal()
        self._full_state = self.simulator._get_obs()

    def step(self, action: np.ndarray) -> bool:
        """Act for 12.5 ms of simulated time.

        Args:
            action: (4,) in [-1, 1]: hand motion along x, y, z (1 is 1 cm) and gripper effort (1 closes).

        Returns:
            Whether the task is solved after this step.
        """
        action = np.clip(np.asarray(action, dtype=np.float32), -1, 1)
        self._full_state, _, _, _, info = self.simulator.step(action)
        return bool(info["success"])

    def observe(self) -> Observation:
        """What a policy reads; renders once."""
        return self._view.observe(self.image_size_px, self.points) | {"agent_pos": self.agent_pos()}

    def agent_pos(self) -> np.ndarray:
        """(9,) float32, metres, world frame: hand, right fingertip, left fingertip."""
        data = self.simulator.data
        fingertips = [data.site(name).xpos for name in ("rightEndEffector", "leftEndEffector")]
        return np.concatenate([self.simulator.get_endeff_pos(), *fingertips]).astype(np.float32)

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
        """(4,) float32 in [-1, 1], from MetaWorld's scripted expert, which sees the simulator's full state."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Constant\(s\) may be too high")  # the clip below is meant
            action = self._expert.get_action(self._full_state)
        return np.clip(action, -1, 1).astype(np.float32)

    def close(self) -> None:
        """Free the cameras."""
        self._view.close()

    def __enter__(self) -> "MetaWorld":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
