import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policy_examples.envs.adroit import Adroit
from tests.policy_examples.envs.spheres import axes_in_image, looks_from

pytestmark = pytest.mark.usefixtures("rendering")

TASKS = ["adroit-door", "adroit-hammer", "adroit-pen"]


@pytest.fixture(scope="module")
def envs():
    """One environment a task, 84 px."""
    opened = {task: Adroit(task, render="fast") for task in TASKS}
    yield opened
    for env in opened.values():
        env.close()


@pytest.fixture(params=TASKS)
def env(envs, request):
    env = envs[request.param]
    env.reset(seed=0)
    return env


@pytest.fixture
def door(envs):
    envs["adroit-door"].reset(seed=0)
    return envs["adroit-door"]


@pytest.fixture
def pen(envs):
    envs["adroit-pen"].reset(seed=0)
    return envs["adroit-pen"]


def test_a_task_keeps_the_observation_contract(env):
    observation = env.observe()
    assert set(observation) == {"image", "agent_pos"}
    assert (observation["image"].shape, observation["image"].dtype) == ((84, 84, 3), np.uint8)
    assert (observation["agent_pos"].shape, observation["agent_pos"].dtype) == ((24,), np.float32)
    assert env.solved == "end"


@pytest.mark.parametrize(
    ("task", "camera", "position_m", "quaternion"),
    [  # from the XML files of DP3's simulator; euler 0 0 3.14 is a turn by 3.14 about z: cos and sin of 1.57
        ("adroit-door", "vil_camera", (0, 0, 1.5), (0.000796, 0, 0, 1.0)),
        ("adroit-hammer", "vil_camera", (0, 0, 1.1), (0.000796, 0, 0, 1.0)),
        ("adroit-pen", "vil_camera", (0, -0.8, 0.8), (0.92388, 0.382683, 0, 0)),
    ],
)
def test_the_camera_is_dp3_s(envs, task, camera, position_m, quaternion):
    found = envs[task].simulator.model.camera(camera)
    assert envs[task].camera == camera
    np.testing.assert_allclose(found.pos, position_m)
    np.testing.assert_allclose(found.quat, quaternion, atol=1e-6)
    assert found.fovy == 45  # MuJoCo's default, as in DP3's XML


@pytest.mark.parametrize(
    ("task", "actions", "action_size"), [("adroit-door", 100, 28), ("adroit-hammer", 100, 26), ("adroit-pen", 50, 24)]
)
def test_an_episode_lasts_as_long_as_dp3_s_at_two_simulator_steps_an_action(envs, task, actions, action_size):
    env = envs[task]
    env.reset(seed=0)
    assert (env.episode_steps, env.action_size) == (actions, action_size)
    env.step(np.zeros(action_size))
    assert env.simulator.data.time == pytest.approx(2 * 5 * 0.002)  # each of five physics steps of 2 ms


def test_agent_pos_is_the_hand_s_24_joints_from_wrist_to_thumb(env):
    model, data = env.simulator.model, env.simulator.data
    data.qpos[:] = np.arange(len(data.qpos))
    names = [model.joint(int(joint)).name for joint in env.agent_pos()]  # one position a joint: its index
    assert names[:6] == ["WRJ1", "WRJ0", "FFJ3", "FFJ2", "FFJ1", "FFJ0"]
    assert names[-5:] == ["THJ4", "THJ3", "THJ2", "THJ1", "THJ0"]
    assert len(set(names)) == 24


def forward(env):
    mujoco: Any = importlib.import_module("mujoco")
    mujoco.mj_forward(env.simulator.model, env.simulator.data)


@pytest.mark.parametrize(("hinge_rad", "solved"), [(1.36, False), (1.39, False), (1.41, True)])
def test_the_door_is_open_beyond_1_4_rad(door, hinge_rad, solved):
    door.simulator.data.joint("door_hinge").qpos[0] = hinge_rad
    assert door._task.solved(door.simulator) == solved


def test_the_nail_is_in_within_10_mm(envs):
    env = envs["adroit-hammer"]
    env.reset(seed=0)
    data = env.simulator.data
    forward(env)
    way_m = np.linalg.norm(data.site("S_target").xpos - data.site("nail_goal").xpos)  # straight along the nail's joint
    for left_m, solved in ((0.011, False), (0.009, True)):
        data.joint("nail_dir").qpos[0] = way_m - left_m
        forward(env)
        assert env._task.solved(env.simulator) == solved


@pytest.mark.parametrize(("angle_deg", "solved"), [(17, True), (19, False)])
def test_the_pen_points_right_within_18_degrees_wherever_it_is(pen, angle_deg, solved):
    """The cosine of 18.2 degrees is 0.95. The pen's body has no turn of its own but 1.57 about y."""
    model, data = pen.simulator.model, pen.simulator.data
    half = np.deg2rad(angle_deg) / 2
    model.body("target").quat = quaternion_product((np.cos(half), 0, 0, np.sin(half)), model.body("Object").quat)
    data.joint("OBJTx").qpos[0] = 0.2  # gymnasium-robotics would ask for less than 0.075 m
    forward(pen)
    assert pen._task.solved(pen.simulator) == solved


def quaternion_product(first, second):
    mujoco: Any = importlib.import_module("mujoco")
    product = np.zeros(4)
    mujoco.mju_mulQuat(product, np.array(first), np.array(second))
    return product


def test_a_dropped_pen_ends_its_episode(pen):
    pen.simulator.data.joint("OBJTx").qpos[0] = 0.3  # beside the hand
    steps = 0
    while pen.simulator.data.body("Object").xpos[2] >= 0.075:
        solved = pen.step(np.zeros(24))
        steps += 1
    assert steps < 30
    before = pen.simulator.data.qpos.copy()
    assert pen.step(np.ones(24)) == solved
    assert np.array_equal(pen.simulator.data.qpos, before)
    pen.reset(seed=0)
    pen.step(np.ones(24))
    assert not np.array_equal(pen.simulator.data.qpos, before)


def test_pen_and_target_are_opaque(pen):
    model = pen.simulator.model
    assert [model.geom(name).rgba[3] for name in ("pen", "target")] == [1, 1]


@pytest.mark.parametrize("task", ["adroit-door", "adroit-hammer"])
def test_the_view_from_above_has_the_hand_below_and_is_not_mirrored(envs, task):
    """The arm reaches along the world's y, which goes up in the image."""
    along = axes_in_image(envs[task], np.array([0.2, 0, 0.1]))
    assert along[1, 1] > 50
    assert abs(along[1, 0]) < 20
    assert looks_from(along)[2] > 0


def test_the_pen_s_view_is_upright_and_not_mirrored(envs):
    along = axes_in_image(envs["adroit-pen"], np.array([0.1, 0, 0.3]))
    assert along[2, 1] > 50  # what rises goes up
    viewer = looks_from(along)
    assert viewer @ [0, -0.8, 0.8] > 0


def test_the_same_seed_gives_the_same_episode_whatever_was_played_before(env):
    def play(seed):
        env.reset(seed)
        random = np.random.default_rng(1)
        for _ in range(10):
            env.step(random.uniform(-1, 1, env.action_size))
        return env.simulator.data.qpos.copy(), env.observe()["image"]

    first, other, again = play(5), play(6), play(5)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_a_second_environment_and_numpy_s_global_seed_change_nothing(door):
    door.reset(seed=5)
    image = door.observe()["image"]
    np.random.seed(1)  # the seed that must not matter
    with Adroit("adroit-door", render="fast") as second:
        second.reset(seed=4)
        second.reset(seed=5)
        assert np.array_equal(second.observe()["image"], image)


def test_stepping_renders_nothing(door):
    before = door.frames_rendered
    for _ in range(5):
        door.step(np.zeros(28))
    assert door.frames_rendered == before


def test_actions_are_clipped_to_the_joints_ranges(door):
    def after(scale):
        door.reset(seed=0)
        for _ in range(3):
            door.step(np.full(28, scale))
        return door.simulator.data.qpos.copy()

    assert np.array_equal(after(5.0), after(1.0))


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_solves_the_task(envs, adroit_experts, task):
    with Adroit(task, experts=adroit_experts) as env:
        env.reset(seed=0)
        actions = []
        for _ in range(env.episode_steps):
            actions.append(env.expert_action())
            solved = env.step(actions[-1])
    assert solved
    assert np.abs(actions).max() <= 1
    assert actions[0].dtype == np.float32


def test_an_unknown_task_is_refused_with_the_closest_one():
    with pytest.raises(ValueError, match=r"'adroit-dor'. Did you mean 'adroit-door'\?"):
        Adroit("adroit-dor")


def test_opening_a_task_prints_nothing():
    code = "from policy_examples.envs.adroit import Adroit; Adroit('adroit-pen').close()"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], env=os.environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
