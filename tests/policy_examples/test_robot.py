from dataclasses import replace

import numpy as np
import pytest
import torch

from policy_examples.encoders import load_encoder
from policy_examples.formats.arrays import resize
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.robot import RobotPolicy

ORIGIN = {
    "fps": 30,
    "cameras": {"img": "observation.images.front", "img_wrist": "img_wrist"},
    "state_names": ["pan.pos", "lift.pos", "grip.pos"],
    "action_names": ["pan.pos", "lift.pos"],
}
SHAPE = PolicyShape(
    3,
    2,
    8,
    2,
    3,
    channels=(16, 32),
    cameras=("image", "image_wrist"),
    frames_px=((36, 48), (32, 32)),
    inference_steps=2,
)


def make(shape=SHAPE, origin=ORIGIN):
    torch.manual_seed(0)
    policy = DiffusionPolicy(shape, [load_encoder("resnet18-scratch")])
    policy.agent_pos.fit(torch.tensor([[-1.0, 0.0, 5.0], [1.0, 10.0, 5.0]]))
    policy.actions.fit(torch.tensor([[-2.0, 0.0], [2.0, 0.5]]))
    return RobotPolicy(policy, origin)


def test_a_policy_that_reads_point_clouds_is_refused():
    shape = replace(SHAPE, cameras=("point_cloud",), frames_px=None)
    policy = DiffusionPolicy(shape, [load_encoder("pointnet-dp3")])
    with pytest.raises(ValueError, match="policy: it reads point_cloud, a robot is fed frames of cameras alone"):
        RobotPolicy(policy, {})


def observation(number):
    """What a robot shows at a step: cameras of other sizes than were learned from, doubles, something else."""
    random = np.random.default_rng(number)
    return {
        "image": random.integers(0, 256, (120, 160, 3), dtype=np.uint8),
        "image_wrist": torch.from_numpy(random.integers(0, 256, (3, 32, 32), dtype=np.uint8)),
        "agent_pos": [0.1 * number, 5.0, 5.0],
        "battery": 0.7,
    }


@pytest.fixture
def decisions(monkeypatch):
    """What the policy is asked, in order."""
    asked = []
    predict = DiffusionPolicy.predict_action
    monkeypatch.setattr(
        DiffusionPolicy, "predict_action", lambda policy, read: (asked.append(read), predict(policy, read))[1]
    )
    return asked


def test_a_decision_reads_the_newest_frames_and_its_actions_are_given_out_one_by_one(decisions):
    robot = make()
    actions = [robot.next_action(observation(number)) for number in range(7)]
    assert [(action.shape, action.dtype) for action in actions] == [((2,), np.float32)] * 7
    assert len(decisions) == 3  # steps 0, 3, 6
    read = [each["agent_pos"][0, :, 0].tolist() for each in decisions]
    assert np.allclose(read, [[0.0, 0.0], [0.2, 0.3], [0.5, 0.6]])
    assert not np.array_equal(actions[0], actions[1])


def test_a_driver_may_fill_one_buffer_anew_at_every_step(decisions):
    robot, buffer = make(), np.zeros(3, np.float32)
    for number in range(7):
        buffer[:] = observation(number)["agent_pos"]
        robot.next_action({**observation(number), "agent_pos": buffer})
    read = [each["agent_pos"][0, :, 0].tolist() for each in decisions]
    assert np.allclose(read, [[0.0, 0.0], [0.2, 0.3], [0.5, 0.6]])


@pytest.mark.parametrize("wrong", [[np.nan, 5.0, 5.0], None, "left", [[0.0, 5.0, 5.0]], torch.full((3,), torch.inf)])
def test_numbers_that_are_none_are_refused_at_every_step_and_leave_nothing_behind(decisions, wrong):
    robot = make()
    for number in range(4):
        with pytest.raises(ValueError, match=r"agent_pos: expected \(3,\) finite numbers, got"):
            robot.next_action({**observation(number), "agent_pos": wrong})
        robot.next_action(observation(number))
    robot = make()
    with pytest.raises(ValueError, match="agent_pos: expected"):
        robot.next_action({**observation(0), "agent_pos": wrong})
    with pytest.raises(ValueError, match=r"number 0 \(pan.pos\) is 57.3, far from"):
        robot.next_action({**observation(0), "agent_pos": [57.3, 5.0, 5.0]})


def test_names_that_are_not_as_many_as_the_numbers_are_refused():
    with pytest.raises(ValueError, match="policy: expected names of its 2 action numbers, got 3, a, b, c"):
        make(origin={**ORIGIN, "action_names": ["a", "b", "c"]})


def test_frames_are_resized_as_demonstrations_are_and_the_others_taken_as_they_come(decisions):
    make().next_action(observation(4))
    (read,) = decisions
    expected = resize(observation(4)["image"][None], (36, 48))[0].transpose(2, 0, 1)
    assert torch.equal(read["image"][0, 0], torch.from_numpy(expected))
    assert torch.equal(read["image_wrist"][0, 1], observation(4)["image_wrist"])
    assert set(read) == {"image", "image_wrist", "agent_pos"}


def test_after_a_reset_nothing_of_the_episode_before_is_read_or_executed(decisions):
    robot = make()
    for number in range(4):
        robot.next_action(observation(number))
    robot.reset()
    robot.next_action(observation(9))
    assert np.allclose(decisions[-1]["agent_pos"][0, :, 0], [0.9, 0.9])


def test_no_action_leaves_the_limits_of_the_demonstrations():
    robot = make()
    with torch.no_grad():
        for parameter in robot.policy.unet.parameters():
            parameter.mul_(20)
    actions = np.stack([robot.next_action(observation(number)) for number in range(9)])
    assert (actions >= [-2.0, 0.0]).all()
    assert (actions <= [2.0, 0.5]).all()


def test_a_robot_policy_tells_what_the_demonstrations_say_of_the_robot(tmp_path):
    robot = make()
    assert robot.cameras == {"image": "observation.images.front", "image_wrist": "image_wrist"}
    robot.policy.save(tmp_path / "policy", ORIGIN)
    loaded = RobotPolicy.load(tmp_path / "policy", device="cpu")
    assert (loaded.fps, loaded.cameras) == (30, robot.cameras)
    assert (loaded.state_names, loaded.action_names) == (ORIGIN["state_names"], ORIGIN["action_names"])
    silent = RobotPolicy(robot.policy, {})
    assert (silent.fps, silent.state_names) == (None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agent_pos": [0.0, 5.0]}, r"agent_pos: expected \(3,\) finite numbers, got \(2,\)"),
        ({"agent_pos": [57.3, 5.0, 5.0]}, r"number 0 \(pan.pos\) is 57.3, far from the -1 to 1 of the demonstrations"),
        (
            {"image": np.zeros((120, 160), np.uint8)},
            r"image: expected \(H, W, 3\) or \(3, H, W\) uint8, got \(120, 160\)",
        ),
        ({"image": np.zeros((120, 160, 3))}, r"image: expected .* uint8, got \(120, 160, 3\) float64"),
        ({"image": np.zeros((120, 120, 3), np.uint8)}, "frames of 36 x 48 px, to which frames of 120 x 120 px cannot"),
        ({"image": np.zeros((120, 168, 3), np.uint8)}, "frames of 36 x 48 px, to which frames of 120 x 168 px cannot"),
        (
            {"image_wrist": np.zeros((24, 24, 3), np.uint8)},
            "image_wrist: this policy .* 32 x 32 px, to which .* 24 x 24",
        ),
    ],
)
def test_what_the_demonstrations_never_held_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        make().next_action(observation(0) | change)


def test_a_missing_camera_is_named():
    robot = make()
    with pytest.raises(ValueError, match="observation: expected image, image_wrist, agent_pos, got image, agent_pos"):
        robot.next_action({key: value for key, value in observation(0).items() if key in ("image", "agent_pos")})


def test_a_policy_that_takes_any_size_gets_frames_as_they_come(decisions):
    make(replace(SHAPE, frames_px=None)).next_action(observation(0))
    assert decisions[0]["image"].shape == (1, 2, 3, 120, 160)


def test_a_policy_without_cameras_reads_numbers_alone():
    policy = DiffusionPolicy(replace(SHAPE, cameras=(), frames_px=None), [load_encoder("blind")])
    assert RobotPolicy(policy, {}).next_action({"agent_pos": np.zeros(3)}).shape == (2,)
