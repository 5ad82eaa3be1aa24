import numpy as np
import pytest

from policy_examples.envs.adroit import Adroit
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.placements import AT_THE_MARGIN, beyond
from policy_examples.envs.published import METAWORLD
from policy_examples.envs.shifts import Shifted

pytestmark = pytest.mark.usefixtures("rendering")
SEEDS = range(1_000_000, 1_000_005)


def test_coordinates_lie_outside_on_either_side_by_a_share_of_the_range():
    random, low, high = np.random.default_rng(0), np.zeros(1000), np.full(1000, 10.0)
    outside = beyond(random, low, high, (0.1, 0.2))
    distance = np.maximum(low - outside, outside - high)
    assert 1 <= distance.min() < 1.05
    assert 1.95 < distance.max() <= 2
    assert 0.4 < np.mean(outside < low) < 0.6


def placed(env, seeds=SEEDS):
    """(seeds, D): what MetaWorld drew."""
    drawn = []
    for seed in seeds:
        env.reset(seed)
        drawn.append(env.simulator._last_rand_vec)
    return np.array(drawn)


@pytest.mark.parametrize("task", ["drawer-open", "push", "assembly"])
def test_metaworld_draws_every_horizontal_coordinate_that_varies_outside_its_range(task):
    env = MetaWorld(task, image_size_px=32, render="fast")
    space = env.simulator._random_reset_space
    assert all(space.contains(vector) for vector in placed(env).astype(space.dtype))
    shifted = placed(Shifted(env, "position"))
    varies = (space.high - space.low >= 0.01) & (np.arange(len(space.low)) % 3 < 2)
    outside = (shifted < space.low) | (shifted > space.high)
    assert varies.any()
    assert np.array_equal(outside.all(axis=0), varies)
    assert not outside[:, ~varies].any()
    assert np.abs(shifted - space.low.clip(space.high)).max() < 0.3


def test_a_shifted_placement_follows_the_seed():
    env = Shifted(MetaWorld("push", image_size_px=32, render="fast"), "position")
    first = placed(env, range(5, 7))
    assert np.array_equal(placed(env, range(6, 4, -1)), first[::-1])
    assert not np.array_equal(first[0], first[1])


def test_where_the_expert_fails_outside_the_placements_are_at_the_margin():
    assert set(AT_THE_MARGIN) < set(METAWORLD)
    env = MetaWorld("bin-picking", image_size_px=32, render="fast")
    space = env.simulator._random_reset_space
    low, high = space.low[:2], space.high[:2]
    drawn = placed(Shifted(env, "position"))[:, :2]
    inside = np.minimum(drawn - low, high - drawn) / (high - low)
    assert (inside >= 0).all()
    assert (inside <= 0.05).all()


def test_the_expert_still_solves_a_shifted_placement():
    env = Shifted(MetaWorld("drawer-open", image_size_px=32, render="fast"), "position")
    env.reset(SEEDS[0])
    assert any(env.step(env.expert_action()) for _ in range(env.episode_steps))


def test_adroit_places_door_board_and_target_pen_outside_their_ranges():
    door, board, target = [], [], []
    with Shifted(Adroit("adroit-door"), "position") as env:
        for seed in SEEDS:
            env.reset(seed)
            door.append(env.simulator.model.body("frame").pos.copy())
    with Shifted(Adroit("adroit-hammer"), "position") as env:
        for seed in SEEDS:
            env.reset(seed)
            board.append(env.simulator.model.body("nail_board").pos[2])
    with Shifted(Adroit("adroit-pen"), "position") as env:
        for seed in SEEDS:
            env.reset(seed)
            target.append(env.simulator.data.body("target").xmat.reshape(3, 3)[:, 2].copy())
    x, y, z = np.array(door).T
    assert np.all((x < -0.3) | (x > -0.2))
    assert np.all((y < 0.25) | (y > 0.35))
    assert np.all((z >= 0.252) & (z <= 0.35))
    assert np.all((np.array(board) < 0.1) | (np.array(board) > 0.25))
    # The pen's axis, turned by roll r and pitch p from upright, has z = cos(r) cos(p); within 1 rad that is > 0.29.
    assert np.all(np.array(target)[:, 2] < np.cos(1) ** 2)
