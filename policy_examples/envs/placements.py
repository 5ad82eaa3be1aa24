"""Placements of objects and goals beyond the range that demonstrations have."""

from typing import Any

import numpy as np

BEYOND = (0.05, 0.2)
"""How far outside its range a coordinate is drawn, as a share of the range's width."""
FIXED = 0.01
"""Coordinates of MetaWorld that vary by less, in metres, stay as they are: heights, mostly."""
MARGIN = (0.0, 0.05)
"""How far inside its range a coordinate is drawn in the tasks below, as a share of the range's width."""
AT_THE_MARGIN = ("bin-picking", "peg-insert-side", "plate-slide-side", "stick-pull")
"""MetaWorld tasks in which even the scripted expert fails in most episodes outside."""


def beyond(
    random: np.random.Generator, low: np.ndarray, high: np.ndarray, shares: tuple[float, float] = BEYOND
) -> np.ndarray:
    """(D,): each coordinate below `low` or above `high`, at random, by a share of the width; inside if negative."""
    distance = random.uniform(*shares, size=low.shape) * (high - low)
    return np.where(random.random(low.shape) < 0.5, low - distance, high + distance)


def place_metaworld_beyond(simulator: Any, task: str) -> None:
    """From the next reset on, draw the horizontal coordinates of object and goal outside MetaWorld's range.

    MetaWorld draws a vector of x, y, z (object), mostly followed by x, y, z (goal), and draws again where both are too
    close to each other; its seed stays the only source.
    """
    space = simulator._random_reset_space
    low, high = space.low.astype(float), space.high.astype(float)
    horizontal = np.arange(len(low)) % 3 != 2
    moves = horizontal & (high - low >= FIXED)
    shares = (-MARGIN[1], -MARGIN[0]) if task in AT_THE_MARGIN else BEYOND

    def draw() -> np.ndarray:
        inside = simulator.np_random.uniform(low, high)
        outside = beyond(simulator.np_random, low, high, shares)
        simulator._last_rand_vec = np.where(moves, outside, inside)
        return simulator._last_rand_vec

    simulator._get_state_rand_vec = draw


def place_adroit_beyond(simulator: Any, task: str) -> None:
    """From the next reset on, put what gymnasium-robotics places at random outside its range.

    Door: the frame, x and y. Hammer: the nail's board, z. Pen: the target's first two Euler angles.
    """
    from gymnasium_robotics.utils.rotations import euler2quat

    place_inside, model = simulator.reset_model, simulator.model

    def reset_model() -> np.ndarray:
        place_inside()
        random = simulator.np_random
        if task == "adroit-door":
            model.body("frame").pos[:2] = beyond(random, np.array([-0.3, 0.25]), np.array([-0.2, 0.35]))
        elif task == "adroit-hammer":
            model.body("nail_board").pos[2:] = beyond(random, np.array([0.1]), np.array([0.25]))
        else:
            roll, pitch = beyond(random, np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
            model.body("target").quat = euler2quat(np.array([roll, pitch, 0]))
        simulator.set_state(simulator.init_qpos, simulator.init_qvel)
        return simulator._get_obs()

    simulator.reset_model = reset_model
