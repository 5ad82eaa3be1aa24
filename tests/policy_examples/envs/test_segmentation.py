import importlib
from typing import Any

import numpy as np
import pytest

from policy_examples.envs.scenery import object_parts, robot_and_table
from policy_examples.envs.segmentation import ObjectMasks, placement_of
from policy_examples.envs.tasks import TaskConfig, open_environment

pytestmark = pytest.mark.usefixtures("rendering")
OBJECTS = {
    "drawer-open": ["drawer"],
    "push-wall": ["obj", "wall"],
    "pick-out-of-hole": ["obj"],  # not the upper table, a body without a name
    "bin-picking": ["bin_goal", "bin_start", "obj"],
    "adroit-door": ["frame"],
    "adroit-hammer": ["Object", "nail_board"],
    "adroit-pen": ["Object", "target"],
}


def opened(task, shift=None) -> Any:
    return open_environment(TaskConfig(task, 84 if task.startswith("adroit-") else 96, "fast", shift=shift))


def masks_of(env):
    return ObjectMasks(env.simulator, env.task, env.image_size_px)


def task_objects(model, task):
    return object_parts(model, *robot_and_table(task))


def object_names(model, task):
    """The bodies, children of the world, that carry the geoms of task objects, in alphabetical order."""
    geoms, _ = task_objects(model, task)
    return sorted({model.body(int(model.body_rootid[body])).name for body in model.geom_bodyid[geoms]})


def paint(model, task, colour):
    """Task objects in one plain colour; their opacity stays."""
    for kind, chosen in zip(("geom", "site"), task_objects(model, task), strict=True):
        getattr(model, f"{kind}_matid")[chosen] = -1
        getattr(model, f"{kind}_rgba")[chosen, :3] = colour


def overlap(env, mask) -> float:
    """Of a mask with the pixels that change when the objects are painted: of both, the share that is in both."""
    frames = []
    for colour in ((1, 0, 1), (0, 1, 0)):
        paint(env.simulator.model, env.task, colour)
        frames.append(env.frame(env.image_size_px).astype(int))
    changed = np.abs(frames[0] - frames[1]).max(axis=-1) > 10
    assert mask.shape == changed.shape
    assert changed.any()
    return (mask & changed).sum() / (mask | changed).sum()


@pytest.mark.parametrize("task", OBJECTS)
def test_the_mask_is_where_the_frame_changes_when_the_objects_are_painted(task):
    with opened(task) as env, masks_of(env) as masks:
        assert object_names(env.simulator.model, task) == OBJECTS[task]
        env.reset(0)
        assert overlap(env, masks.mask()) > 0.97


def pixel(env, point_m):
    """(row, column) of a point of the world in the upright image, by the camera's own geometry."""
    model, data = env.simulator.model, env.simulator.data
    camera = model.camera(placement_of(env.task).camera).id
    right, up, back = data.cam_xmat[camera].reshape(3, 3).T @ (np.asarray(point_m) - data.cam_xpos[camera])
    half = np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)
    along = (1 + np.array([up, right]) / -back / half) / 2 * env.image_size_px  # from the bottom, from the left
    assert placement_of(env.task).upside_down
    return int(along[0]), int(env.image_size_px - along[1])


def put(env, point_m):
    mujoco: Any = importlib.import_module("mujoco")
    env.simulator.data.joint("objjoint").qpos[:3] = point_m
    mujoco.mj_forward(env.simulator.model, env.simulator.data)


def test_the_mask_moves_with_the_object():
    places_m = np.array([[0.1, 0.65, 0.02], [-0.1, 0.45, 0.02]])
    with opened("push") as env, masks_of(env) as masks:
        env.reset(0)
        found = []
        for place_m in places_m:
            put(env, place_m)
            found.append(masks.mask())
        pixels = [pixel(env, place_m) for place_m in places_m]
    assert [[bool(mask[at]) for at in pixels] for mask in found] == [[True, False], [False, True]]


def test_what_hides_an_object_hides_its_mask():
    """Below the table's top, which is at 0."""
    with opened("push") as env, masks_of(env) as masks:
        env.reset(0)
        shown = []
        for height_m in (0.02, -0.1):
            put(env, (0.1, 0.65, height_m))
            shown.append(bool(masks.mask()[pixel(env, (0.1, 0.65, height_m))]))
    assert shown == [True, False]


def test_the_goal_that_the_image_shows_belongs_to_the_task():
    """`reach` has its goal as a site of the world; the hand's own sites are the robot's."""
    with opened("reach") as env:
        model = env.simulator.model
        _, sites = task_objects(model, "reach")
    assert [model.site(int(site)).name for site in np.flatnonzero(sites)] == ["goal"]


def test_a_mask_follows_the_camera_of_a_shift():
    with opened("drawer-open", "camera") as env, masks_of(env) as masks:
        env.reset(0)
        assert overlap(env, masks.mask()) > 0.97


def test_an_unknown_task_is_refused_with_the_closest_one():
    with pytest.raises(ValueError, match="Did you mean 'drawer-open'"):
        placement_of("drawer-opne")
