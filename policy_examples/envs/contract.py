"""What every simulated task offers to demonstrations, policies, rollouts."""

from typing import Any, Literal, Protocol

import numpy as np

Observation = dict[str, np.ndarray]
"""What a policy reads at one moment.

| key | shape, dtype | meaning |
| --- | --- | --- |
| image | (H, W, 3) uint8, RGB | the task's camera; first row at the top, upright for a person, not mirrored |
| agent_pos | (P,) float32 | the robot alone, never the objects or the goal |
| point_cloud | (N, 3) float32, metres, world frame | on request: surfaces that the image shows, cropped, sampled |

`agent_pos` in MetaWorld, P = 9: hand, right fingertip, left fingertip, each x, y, z in metres, world frame. In Adroit,
P = 24: the hand's joint angles from the wrist to the thumb, radians; not the arm's.
"""

Solved = Literal["ever", "end"]


class Environment(Protocol):
    """One task with its camera; a context manager that frees it.

    Attributes:
        task: its name, such as "drawer-open" (MetaWorld) or "adroit-door".
        image_size_px: H and W of an observation's image.
        points: N, points of an observation's point cloud; None has none.
        state_size: P, numbers in `agent_pos`.
        action_size: A, numbers in an action.
        episode_steps: actions an episode lasts; an action may last several simulator steps (action repeat).
        solved: what counts as success, "ever" (any step that reports it) or "end" (the last step).
        simulator: MuJoCo's `model` and `data` are its attributes.
        frames_rendered: frames drawn so far.
    """

    task: str
    image_size_px: int
    points: int | None
    state_size: int
    action_size: int
    episode_steps: int
    solved: Solved
    simulator: Any

    @property
    def frames_rendered(self) -> int: ...

    def reset(self, seed: int) -> None:
        """Place objects and goal; the same seed gives the same episode, whatever was played before."""
        ...

    def step(self, action: np.ndarray) -> bool:
        """Act, (A,) float32, clipped to [-1, 1]; whether the task is solved after it."""
        ...

    def observe(self) -> Observation:
        """What a policy reads; renders once."""
        ...

    def agent_pos(self) -> np.ndarray:
        """(P,) float32: proprioception alone; renders nothing."""
        ...

    def frame(self, size_px: int) -> np.ndarray:
        """The scene as (size_px, size_px, 3) uint8, RGB, upright."""
        ...

    def expert_action(self) -> np.ndarray:
        """(A,) float32 in [-1, 1] of the task's expert, which sees the simulator's full state."""
        ...

    def close(self) -> None:
        """Free the cameras; a later frame opens them again."""
        ...

    def __enter__(self) -> "Environment": ...

    def __exit__(self, *exception: object) -> None: ...
