"""MetaWorld's 50 tasks, seen and acted on as in 3D Diffusion Policy (DP3)."""

import difflib
import warnings
from typing import Any

import numpy as np

from policy_examples.envs.camera import Camera, Render, require_headless_rendering

_SUFFIX = "-v3-goal-observable"
_CAMERA = "corner2"
_CAMERA_POSITION_M = (0.6, 0.295, 0.8)  # DP3 moves the camera closer to the table


def task_names() -> list[str]:
    """The 50 tasks, in alphabetical order."""
    require_headless_rendering()
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE

    return sorted(name.removesuffix(_SUFFIX) for name in ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE)


def _require_known(task: str) -> None:
    known = task_names()
    if task in known:
        return
    close = difflib.get_close_matches(task, known, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"task: unknown MetaWorld task {task!r}.{guess} The known ones: {', '.join(known)}.")


class MetaWorld:
    """One task; a frame is rendered when it is asked for, never by stepping.

    Objects and goal are placed afresh at each reset, by its seed alone. The goal is not part of `agent_pos`.
    """

    state_size = 9
    action_size = 4
    episode_steps = 200

    def __init__(self, task: str, image_size_px: int = 128, render: Render = "reference") -> None:
        if render not in ("reference", "fast"):
            raise ValueError(f"render: accepted are 'reference' and 'fast', got {render!r}.")
        _require_known(task)
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
        from metaworld.policies import ENV_POLICY_MAP

        self.task, self.image_size_px = task, image_size_px
        self.render_setting: Render = render
        simulators: Any = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
        self.simulator: Any = simulators[task + _SUFFIX](seed=0)
        # The private flags are MetaWorld's only way to a fresh placement that follows the seed.
        self.simulator._freeze_rand_vec = False
        self.simulator.seeded_rand_vec = True
        model = self.simulator.model
        model.cam_pos[model.camera(_CAMERA).id] = _CAMERA_POSITION_M
        model.vis.map.znear, model.vis.map.zfar = 0.1, 1.5
        self._expert_policy = ENV_POLICY_MAP[f"{task}-v3"]
        self._cameras = {image_size_px: Camera(model, _CAMERA, image_size_px, render)}

    def reset(self, seed: int) -> None:
        """Place the objects and the goal; the same seed gives the same episode, whatever was played before."""
        self.simulator.seed(seed)
        self._full_state, _ = self.simulator.reset()
        self._expert = self._expert_policy()

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

    def observe(self) -> dict[str, np.ndarray]:
        """What a policy reads: {"image": (H, W, 3) uint8 upright, "agent_pos": (9,) float32}.

        agent_pos, in metres: hand, right fingertip, left fingertip.
        """
        return {"image": self.frame(self.image_size_px), "agent_pos": self.agent_pos()}

    def agent_pos(self) -> np.ndarray:
        """(9,) float32, in metres: hand, right fingertip, left fingertip."""
        data = self.simulator.data
        fingertips = [data.site(name).xpos for name in ("rightEndEffector", "leftEndEffector")]
        return np.concatenate([self.simulator.get_endeff_pos(), *fingertips]).astype(np.float32)

    def frame(self, size_px: int) -> np.ndarray:
        """The scene at any size, (H, W, 3) uint8, upright, not mirrored."""
        if size_px not in self._cameras:
            self._cameras[size_px] = Camera(self.simulator.model, _CAMERA, size_px, self.render_setting)
        # The camera hangs upside down: turned by 180 degrees, OpenGL's bottom-up rows come out upright but mirrored.
        return np.ascontiguousarray(self._cameras[size_px].render(self.simulator.data)[:, ::-1])

    @property
    def frames_rendered(self) -> int:
        """How many frames this environment has rendered so far."""
        return sum(camera.frames_rendered for camera in self._cameras.values())

    def expert_action(self) -> np.ndarray:
        """(4,) float32 in [-1, 1], from MetaWorld's scripted expert, which sees the simulator's full state."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Constant\(s\) may be too high")  # the clip below is meant
            action = self._expert.get_action(self._full_state)
        return np.clip(action, -1, 1).astype(np.float32)

    def close(self) -> None:
        """Free the cameras."""
        for camera in self._cameras.values():
            camera.close()
        self._cameras.clear()

    def __enter__(self) -> "MetaWorld":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
