import numpy as np
import pytest

from policy_examples.envs.adroit import Adroit
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.points import Crop, farthest_points, world_points
from tests.policy_examples.envs.spheres import RADIUS_M, put_sphere

CLOUD = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)


def test_each_point_is_the_farthest_from_those_before_it():
    chosen = farthest_points(CLOUD, 20)
    assert np.array_equal(chosen[0], CLOUD[0])
    for index in range(1, 20):
        to_chosen = np.linalg.norm(CLOUD[:, None] - chosen[None, :index], axis=-1).min(axis=1)
        assert np.array_equal(chosen[index], CLOUD[to_chosen.argmax()])


def test_a_small_cloud_is_repeated_from_its_start():
    chosen = farthest_points(CLOUD[:3], 8)
    assert np.array_equal(chosen, CLOUD[[0, 1, 2, 0, 1, 2, 0, 1]])


def test_an_empty_cloud_is_an_error():
    with pytest.raises(ValueError, match="nothing that the camera sees lies in the crop box"):
        farthest_points(CLOUD[:0], 8)


def test_a_crop_keeps_what_lies_inside_its_box():
    kept = Crop((-1, -1, 0), (1, 1, 1))(CLOUD)
    inside = [x for x in CLOUD.tolist() if -1 < x[0] < 1 and -1 < x[1] < 1 and 0 < x[2] < 1]
    assert kept.tolist() == inside


def test_a_pixel_lies_where_its_ray_ends():
    """2 x 2 pixels at 90 degrees: their centres are half a unit off the axis at distance 1; depth 2 doubles that."""
    depth_m = np.full((2, 2), 2.0)
    points = world_points(depth_m, 90, np.eye(3), np.array([10.0, 20.0, 30.0]))
    np.testing.assert_allclose(points, [[9, 19, 28], [11, 19, 28], [9, 21, 28], [11, 21, 28]], rtol=1e-6)


OPEN = {
    "drawer-open": (lambda points: MetaWorld("drawer-open", 128, "fast", points), (0.2, 0.6, 0.25)),
    "adroit-door": (lambda points: Adroit("adroit-door", 84, "fast", points), (0.25, -0.1, 0.2)),
    "adroit-hammer": (lambda points: Adroit("adroit-hammer", 84, "fast", points), (0.2, 0.2, 0.3)),
    "adroit-pen": (lambda points: Adroit("adroit-pen", 84, "fast", points), (0.3, 0.0, 0.4)),
}


@pytest.mark.parametrize("task", OPEN)
def test_the_points_of_a_known_body_lie_on_it(rendering, task):
    opener, centre_m = OPEN[task]
    with opener(1024) as env:
        env.reset(seed=0)
        put_sphere(env, centre_m)
        cloud = env.observe()["point_cloud"]
    from_centre = np.linalg.norm(cloud - centre_m, axis=1)
    on_sphere = from_centre < 2 * RADIUS_M
    assert on_sphere.sum() > 10
    np.testing.assert_allclose(from_centre[on_sphere], RADIUS_M, atol=5e-4)


@pytest.mark.parametrize("task", OPEN)
def test_a_cloud_stands_beside_the_same_image_without_the_table_and_costs_no_second_rendering(rendering, task):
    opener, _ = OPEN[task]
    with opener(None) as plain, opener(512) as env:
        plain.reset(seed=0)
        env.reset(seed=0)
        observation = env.observe()
        assert env.frames_rendered == 1
        assert np.array_equal(plain.observe()["image"], observation["image"])
        again = env.observe()["point_cloud"]
    cloud = observation["point_cloud"]
    assert (cloud.shape, cloud.dtype) == ((512, 3), np.float32)
    assert np.array_equal(cloud, again)
    assert cloud[:, 2].min() > 0
    assert len(np.unique(cloud, axis=0)) > 400  # 84 px show 466 points of hammer and hand
    assert np.ptp(cloud, axis=0).min() > 0.1
