"""What every simulated task offers to demonstrations, policies, rollouts."""

from typing import Literal, Protocol

import numpy as np

Observation = dict[str, np.ndarray]
"""{"image": (H, W, 3) uint8, RGB, upright for a person, "agent_pos": (P,) float32}; with points asked for, beside them
"point_cloud": (N, 3) float32 in metres, world frame."""


class Environment(Protocol):
    """One task with its camera.

    Attributes:
        task: its name, such as "drawer-open" (MetaWorld) or "adroit-door".
        state_size: P, numbers in `agent_pos`.
        action_size: A, numbers in an action.
        episode_steps: actions an episode lasts; an action may last several simulator steps (action repeat).
        solved: what counts as success, "ever" (any step that reports it) or "end" (the last step).
        frames_rendered: frames drawn so far.
    """

    task: str
    state_size: int
    action_size: int
    episode_steps: int
    solved: Literal["ever", "end"]

    @property
    def frames_rendered(self) -> int: ...

    def reset(self, seed: int) -> None:
        """Place objects and goal; the same seed gives the same episode, whatever was played before."""
        ...

    def step(self, action: np.ndarray) -> bool:
        """Act, (A,) float32, clipped to the task's range; whether the task is solved after it."""
        ...

    def observe(self) -> Observation:
        """What a policy reads; renders."""
        ...

    def agent_pos(self) -> np.ndarray:
        """(P,) float32: proprioception alone; renders nothing."""
        ...

    def frame(self, size_px: int) -> np.ndarray:
        """The scene as (size_px, size_px, 3) uint8, RGB, upright."""
        ...

    def expert_action(self) -> np.ndarray:
        """(A,) float32 of the task's expert, which sees the simulator's full state."""
        ...

    def close(self) -> None:
        """Free the cameras."""
        ...
