import importlib
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from policy_examples.attempts import demonstrate
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.published import METAWORLD

pytestmark = pytest.mark.usefixtures("rendering")


@pytest.fixture(scope="module")
def env():
    with MetaWorld("drawer-open", image_size_px=96, render="fast") as env:
        yield env


def test_there_are_fifty_tasks_and_each_has_a_scripted_expert():
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
    from metaworld.policies import ENV_POLICY_MAP

    assert len(METAWORLD) == 50
    assert {f"{task}-v3-goal-observable" for task in METAWORLD} == set(ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE)
    assert {f"{task}-v3" for task in METAWORLD} == set(ENV_POLICY_MAP)


@pytest.mark.parametrize("task", ["assembly", "handle-pull-side", "stick-push"])
def test_a_task_is_built_by_its_name_and_keeps_the_observation_contract(task):
    with MetaWorld(task, image_size_px=32, render="fast") as env:
        env.reset(seed=0)
        observation = env.observe()
    assert observation["image"].shape == (32, 32, 3)
    assert observation["image"].dtype == np.uint8
    assert observation["agent_pos"].shape == (9,)
    assert observation["agent_pos"].dtype == np.float32


def test_an_unknown_task_is_refused_with_the_closest_one_and_the_list():
    with pytest.raises(ValueError, match=r"'draw-open'. Did you mean 'drawer-open'\? .*assembly, .*window-open"):
        MetaWorld("draw-open")


def test_an_unknown_render_setting_is_refused():
    with pytest.raises(ValueError, match="'reference' and 'fast', got 'ugly'"):
        MetaWorld("reach", render="ugly")  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_episode_whatever_was_played_before(env):
    env.reset(seed=5)
    first = env.observe()
    env.reset(seed=6)
    other = env.observe()
    for _ in range(20):
        env.step(np.array([1, 1, -1, 1]))
    env.reset(seed=5)
    again = env.observe()
    assert np.array_equal(first["image"], again["image"])
    assert np.array_equal(first["agent_pos"], again["agent_pos"])
    assert not np.array_equal(first["image"], other["image"])


@pytest.mark.parametrize("task", ["window-close", "assembly", "peg-insert-side", "drawer-open", "push"])
def test_a_reset_shows_objects_where_they_are(task, rendering):
    mujoco: Any = importlib.import_module("mujoco")
    with MetaWorld(task, 32, "fast") as env:
        for seed in (0, 1):
            env.reset(seed)
            shown = env.simulator.data.geom_xpos.copy()  # what a frame draws
            mujoco.mj_forward(env.simulator.model, env.simulator.data)
            np.testing.assert_allclose(shown, env.simulator.data.geom_xpos, atol=1e-9)
            np.testing.assert_array_equal(env._full_state, env.simulator._get_obs())


def test_a_second_environment_gives_the_same_episode_for_the_same_seed(env):
    env.reset(seed=5)
    with MetaWorld("drawer-open", image_size_px=96, render="fast") as second:
        second.reset(seed=5)
        assert np.array_equal(env.observe()["image"], second.observe()["image"])


def test_the_camera_is_dp3_s(env):
    model = env.simulator.model
    camera = model.camera("corner2")
    assert env.camera == "corner2"
    np.testing.assert_allclose(camera.pos, (0.6, 0.295, 0.8))
    euler = Rotation.from_euler("XYZ", (3.9, 2.3, 0.6))  # radians, as in DP3's and MetaWorld's files
    w, x, y, z = camera.quat
    np.testing.assert_allclose(Rotation.from_quat((x, y, z, w)).as_matrix(), euler.as_matrix(), atol=1e-6)
    assert camera.fovy == 60
    assert (model.vis.map.znear, model.vis.map.zfar) == (pytest.approx(0.1), 1.5)
    assert MetaWorld("reach").image_size_px == 128


def test_agent_pos_is_the_hand_then_both_fingertips_in_metres():
    """The hand is sent to (0, 0.6, 0.2) before an episode; open fingers stand 5 cm to either side, 4.5 cm below."""
    with MetaWorld("reach") as env:
        env.reset(seed=0)
        hand, right, left = env.agent_pos().reshape(3, 3)
        np.testing.assert_allclose(hand, (0.005, 0.601, 0.195), atol=1e-3)
        np.testing.assert_allclose(right, (0.007, 0.551, 0.150), atol=1e-3)
        np.testing.assert_allclose(left, (0.001, 0.652, 0.150), atol=1e-3)


def test_an_action_is_one_simulator_step_and_1_is_a_centimetre(env):
    env.reset(seed=0)
    data = env.simulator.data
    began_s, began_m = data.time, data.mocap_pos[0].copy()
    env.step(np.array([1.0, 0, -0.5, 0]))
    assert data.time - began_s == pytest.approx(5 * 0.0025)
    np.testing.assert_allclose(data.mocap_pos[0] - began_m, (0.01, 0, -0.005), atol=1e-9)


def test_an_episode_has_200_actions_and_any_solved_one_counts(env):
    assert (env.episode_steps, env.solved) == (200, "ever")


def test_a_step_is_solved_as_metaworld_says():
    """`reach` is solved within 5 cm of its goal; leaving the goal unsolves it."""
    with MetaWorld("reach") as env:
        env.reset(seed=0)
        while not env.step(env.expert_action()):
            pass
        goal = env.simulator._target_pos
        assert np.linalg.norm(env.agent_pos()[:3] - goal) < 0.06
        assert not [env.step(np.array([0, 0, 1, 0])) for _ in range(30)][-1]


def test_stepping_renders_nothing(env):
    before = env.frames_rendered
    env.reset(seed=0)
    for _ in range(10):
        env.step(env.expert_action())
    assert env.frames_rendered == before
    env.observe()
    assert env.frames_rendered == before + 1


def test_agent_pos_starts_with_the_hand_and_the_fingertips_straddle_it(env):
    env.reset(seed=0)
    hand, right, left = env.agent_pos().reshape(3, 3)
    assert np.allclose(hand, env.simulator.get_endeff_pos())
    assert np.allclose(((right + left) / 2)[:2], hand[:2], atol=0.01)
    assert np.linalg.norm(right - left) > 0.05


def hand_pixel(env):
    """(column, row) of the hand, which the test has painted magenta."""
    red, green, blue = np.moveaxis(env.observe()["image"].astype(int), -1, 0)
    rows, columns = np.nonzero((red > green + 60) & (blue > green + 60))
    assert len(rows) > 10
    return np.array([columns.mean(), rows.mean()])


def paint_hand_magenta(env):
    model = env.simulator.model
    hand = model.body("hand").id
    for geom in range(model.ngeom):
        body = model.geom_bodyid[geom]
        while body > hand:
            body = model.body_parentid[body]
        if body == hand:
            model.geom_matid[geom] = -1
            model.geom_rgba[geom] = (1, 0, 1, 1)


def test_the_image_is_upright_and_not_mirrored():
    """A hand that rises moves up, and the axes seen are right-handed: image right x image up points to the viewer."""
    with MetaWorld("reach", image_size_px=96, render="fast") as env:
        paint_hand_magenta(env)
        moved = []  # pixels along (right, up) per world axis
        for axis in range(3):
            env.reset(seed=0)
            start, before = env.agent_pos()[axis], hand_pixel(env)
            for _ in range(15):
                env.step(np.eye(4)[axis])
            moved.append((hand_pixel(env) - before) * [1, -1] / (env.agent_pos()[axis] - start))
        camera = env.simulator.data.camera("corner2").xpos - env.simulator.get_endeff_pos()
    along = np.array(moved)  # (3 world axes, right and up)
    assert along[2, 1] > 0
    assert np.dot(np.cross(along[:, 0], along[:, 1]), camera) > 0


def test_the_fast_setting_shows_the_same_scene_without_shadows():
    frames = {}
    for render in ("reference", "fast"):
        with MetaWorld("drawer-open", image_size_px=64, render=render) as env:
            env.reset(seed=0)
            frames[render] = env.observe()["image"].astype(float)
    correlation = np.corrcoef(frames["reference"].ravel(), frames["fast"].ravel())[0, 1]
    assert 0.8 < correlation < 1


@pytest.mark.parametrize("task", ["drawer-open", "button-press-topdown"])
def test_the_scripted_expert_solves_the_task(task):
    with MetaWorld(task, image_size_px=32, render="fast") as env:
        episode = demonstrate(env, seed=0, steps_after_success=5)
    assert episode is not None
    assert len(episode["img"]) == len(episode["state"]) == len(episode["action"]) < 200
    assert np.abs(episode["action"]).max() <= 1
