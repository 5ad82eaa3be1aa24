"""What 3D Diffusion Policy (DP3) makes of Adroit's door, hammer, pen: camera, proprioception, length, success."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_examples.envs.points import Crop
from policy_examples.envs.view import Placement

_SPUN = (float(np.cos(1.57)), 0.0, 0.0, float(np.sin(1.57)))  # euler 0 0 3.14


def _door_is_open(simulator: Any) -> bool:
    """The hinge is turned by more than 1.4 rad; gymnasium-robotics' own rule asks for 1.35."""
    return simulator.data.joint("door_hinge").qpos[0] > 1.4


def _nail_is_in(simulator: Any) -> bool:
    """The nail's head is within 10 mm of its goal."""
    data = simulator.data
    return bool(np.linalg.norm(data.site("S_target").xpos - data.site("nail_goal").xpos) < 0.010)


def _pen_points_right(simulator: Any) -> bool:
    """Cosine between pen and target above 0.95, wherever the pen is; gymnasium-robotics also asks that it is near."""
    data = simulator.data
    pen, target = (data.site(f"{name}_top").xpos - data.site(f"{name}_bottom").xpos for name in ("object", "target"))
    return pen @ target / np.linalg.norm(pen) / np.linalg.norm(target) > 0.95


@dataclass(frozen=True)
class AdroitTask:
    """One task. DP3 averages success over the last two actions of an episode; here the last alone counts.

    Attributes:
        simulator: module, then class of gymnasium-robotics.
        action_size: A.
        hand: the 24 joints of the hand among the joints' positions.
        simulator_steps: an episode's.
        solved: its rule.
        placement: its camera.
    """

    simulator: tuple[str, str]
    action_size: int
    hand: slice
    simulator_steps: int
    solved: Callable[[Any], bool]
    placement: Placement


def _above(low_m: float) -> Crop:
    """Everything above a height: neither the table, whose top is at 0, nor the ground."""
    return Crop(low=(-10, -10, low_m), high=(10, 10, 10))


ADROIT_TASKS = {  # the cameras are those of DP3's models; today's have others
    "adroit-door": AdroitTask(
        ("adroit_door", "AdroitHandDoorEnv"),
        action_size=28,
        hand=slice(4, -2),  # not the arm's four, nor hinge and latch
        simulator_steps=200,
        solved=_door_is_open,
        placement=Placement("vil_camera", (0, 0, 1.5), _SPUN, upside_down=True, crop=_above(0.001)),
    ),
    "adroit-hammer": AdroitTask(
        ("adroit_hammer", "AdroitHandHammerEnv"),
        action_size=26,
        hand=slice(2, -7),  # not the arm's two, nor nail and hammer
        simulator_steps=200,
        solved=_nail_is_in,
        placement=Placement("vil_camera", (0, 0, 1.1), _SPUN, upside_down=True, crop=_above(0.001)),
    ),
    "adroit-pen": AdroitTask(
        ("adroit_pen", "AdroitHandPenEnv"),
        action_size=24,
        hand=slice(0, -6),  # not the pen
        simulator_steps=100,
        solved=_pen_points_right,
        placement=Placement(
            "vil_camera", (0, -0.8, 0.8), (0.92388, 0.382683, 0, 0), upside_down=False, crop=_above(0.01)
        ),
    ),
}
