import json
import sys

import h5py
import numpy as np
import pytest

from policy_examples.formats.episodes import Selection
from policy_examples.formats.lerobot_writer import write_lerobot
from policy_examples.formats.opening import open_episodes
from policy_examples.store import open_demonstrations, write_zarr

LENGTHS = {"demo_0": 3, "demo_10": 5, "demo_2": 4}
"""HDF5 lists them in this order."""


def observations(demo: str) -> dict[str, np.ndarray]:
    random, steps = np.random.default_rng(len(demo) + LENGTHS[demo]), LENGTHS[demo]
    return {
        "agentview_image": random.integers(0, 256, (steps, 8, 8, 3), dtype=np.uint8),
        "robot0_eye_in_hand_image": random.integers(0, 256, (steps, 6, 6, 3), dtype=np.uint8),
        "robot0_eef_pos": random.normal(size=(steps, 3)),
        "robot0_eef_quat": random.normal(size=(steps, 4)),
        "robot0_gripper_qpos": random.normal(size=(steps, 2)),
        "object": random.normal(size=(steps, 10)),
    }


def actions(demo: str) -> np.ndarray:
    return np.random.default_rng(LENGTHS[demo]).uniform(-1, 1, (LENGTHS[demo], 7))


@pytest.fixture
def path(tmp_path):
    """A file as robomimic's dataset_states_to_obs.py leaves it."""
    path = tmp_path / "image.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {}})
        for demo, steps in LENGTHS.items():
            group = data.create_group(demo)
            group.attrs["num_samples"] = steps
            group["actions"] = actions(demo)
            group["dones"] = np.zeros(steps)
            for name, values in observations(demo).items():
                group[f"obs/{name}"] = values
                group[f"next_obs/{name}"] = values
        file["mask/train"] = np.array([b"demo_2", b"demo_0"])
        file["mask/valid"] = np.array([b"demo_10"])
    return path


def test_demonstrations_come_in_the_order_of_their_numbers(path):
    loaded = open_demonstrations(path)
    assert loaded.episode_ends.tolist() == [3, 7, 12]
    in_order = ["demo_0", "demo_2", "demo_10"]
    assert np.array_equal(loaded.images, np.concatenate([observations(demo)["agentview_image"] for demo in in_order]))
    assert np.allclose(loaded.actions, np.concatenate([actions(demo) for demo in in_order]))


def test_every_camera_is_taken_and_the_robot_but_not_the_object(path):
    loaded = open_demonstrations(path)
    assert list(loaded.cameras) == ["robot0_eye_in_hand"]
    robot = [observations("demo_0")[f"robot0_{part}"] for part in ("eef_pos", "eef_quat", "gripper_qpos")]
    assert np.allclose(loaded.agent_pos[:3], np.concatenate(robot, axis=1))
    assert loaded.origin["recorded_task"] == "Lift"
    assert "selection" not in loaded.origin


def test_cameras_and_states_can_be_named(path):
    chosen = Selection(cameras=("robot0_eye_in_hand",), state=("object[:3]", "robot0_eef_pos"))
    loaded = open_demonstrations(path, chosen)
    assert loaded.origin["selection"] == {"state": ["object[:3]", "robot0_eef_pos"]}
    assert loaded.origin["state"] == ["object[:3]", "robot0_eef_pos"]
    first = observations("demo_0")
    assert np.array_equal(loaded.images[:3], first["robot0_eye_in_hand_image"])
    assert loaded.cameras == {}
    assert np.allclose(loaded.agent_pos[:3], np.concatenate([first["object"][:, :3], first["robot0_eef_pos"]], axis=1))


def test_each_camera_keeps_the_name_it_came_with_wherever_it_goes(path, tmp_path):
    """`finetune` shows these names to whoever chooses cameras."""
    before = open_episodes(path, Selection(cameras=("robot0_eye_in_hand_image", "agentview_image")))
    called = {"img": "robot0_eye_in_hand_image", "img_agentview": "agentview_image"}
    assert before.origin["cameras"] == called
    write_zarr(before, tmp_path / "out.zarr")
    assert open_episodes(tmp_path / "out.zarr", Selection()).origin["cameras"] == called
    turned = open_episodes(tmp_path / "out.zarr", Selection(cameras=("img_agentview", "img")))
    assert turned.origin["cameras"] == {"img": "agentview_image", "img_img": "robot0_eye_in_hand_image"}
    write_lerobot(turned, tmp_path / "lerobot", fps=20, instruction="lift")
    assert open_episodes(tmp_path / "lerobot", Selection()).origin["cameras"] == turned.origin["cameras"]
    alone = open_episodes(tmp_path / "lerobot", Selection(cameras=("img",)))
    assert alone.origin["cameras"] == {"img": "robot0_eye_in_hand_image"}
    assert np.array_equal(alone.read(0)["img"], before.read(0)["img"])


def test_a_filter_takes_the_demonstrations_of_a_list(path):
    assert open_demonstrations(path, Selection(filter="train")).episode_ends.tolist() == [3, 7]
    assert open_demonstrations(path, Selection(filter="valid")).episode_ends.tolist() == [5]
    with pytest.raises(ValueError, match="no mask/test; it has train, valid; leave the filter out"):
        open_demonstrations(path, Selection(filter="test"))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("data", "no groups data/demo_<i>, as robomimic's files have; at its top: mask"),
        ("data/demo_0/obs", "no data/demo_0/obs; robomimic's dataset_states_to_obs.py renders them"),
        ("data/demo_2/actions", "no data/demo_2/actions"),
        ("data/demo_2/obs/agentview_image", "no data/demo_2/obs/agentview_image; data/demo_2/obs holds object"),
    ],
)
def test_what_a_file_lacks_is_named(path, lost, message):
    with h5py.File(path, "a") as file:
        del file[lost]
    with pytest.raises(ValueError, match=message):
        open_demonstrations(path)


def test_a_file_without_pictures_or_a_known_robot_asks_for_names(path):
    with pytest.raises(ValueError, match=r"has no wrist_image among .* \(agentview_image, .*--selection.cameras of"):
        open_demonstrations(path, Selection(cameras=("wrist",)))
    with h5py.File(path, "a") as file:
        for demo in LENGTHS:
            for part in ("eef_pos", "eef_quat", "gripper_qpos"):
                del file[f"data/{demo}/obs/robot0_{part}"]
    with pytest.raises(ValueError, match=r"name what it has instead .*--selection.state of .*: object \(3, 10\)"):
        open_demonstrations(path)
    with h5py.File(path, "a") as file:
        for demo in LENGTHS:
            del file[f"data/{demo}/obs/agentview_image"], file[f"data/{demo}/obs/robot0_eye_in_hand_image"]
    with pytest.raises(ValueError, match=r"no <camera>_image among its observations \(object\).*render cameras with"):
        open_demonstrations(path)


def test_steps_that_do_not_match_the_actions_are_refused(path):
    with h5py.File(path, "a") as file:
        del file["data/demo_2/obs/agentview_image"]
        file["data/demo_2/obs/agentview_image"] = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="agentview_image in .* has 3 steps, its actions have 4"):
        open_demonstrations(path)


def test_a_camera_that_changes_its_size_is_refused(path):
    with h5py.File(path, "a") as file:
        del file["data/demo_2/obs/agentview_image"]
        file["data/demo_2/obs/agentview_image"] = np.zeros((4, 9, 9, 3), np.uint8)
    with pytest.raises(
        ValueError, match=r"episode 1 has arrays of shapes .*\(9, 9, 3\).*, the first has .*\(8, 8, 3\)"
    ):
        open_demonstrations(path)


def test_a_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"is no whole HDF5 file .*; copy it again"):
        open_demonstrations(path)


def test_without_h5py_the_error_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match="is HDF5, which the package h5py reads: pip install h5py"):
        open_demonstrations(path)


def test_arrays_in_groups_of_the_observations_are_named_with_their_group(path):
    """As Isaac Lab Mimic's files nest them."""
    with h5py.File(path, "a") as file:
        for demo in LENGTHS:
            for name in ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"):
                file.move(f"data/{demo}/obs/{name}", f"data/{demo}/obs/datagen/{name}")
    with pytest.raises(ValueError, match=r"name what it has instead .*datagen/robot0_eef_pos \("):
        open_demonstrations(path)
    with pytest.raises(ValueError, match=r"no data/demo_\d+/obs/datagen; .* holds .*datagen/robot0_eef_pos"):
        open_demonstrations(path, Selection(state=("datagen",)))
    loaded = open_demonstrations(path, Selection(state=("datagen/robot0_eef_pos",)))
    assert loaded.agent_pos.shape[1] == 3


def test_an_episode_of_aloha_says_what_to_do_with_it(tmp_path):
    with h5py.File(tmp_path / "episode_0.hdf5", "w") as file:
        file["action"] = np.zeros((3, 14))
        file["observations/qpos"] = np.zeros((3, 14))
    with pytest.raises(
        ValueError, match="episode_0.hdf5 is an episode in the layout of ALOHA, which is not read; make a"
    ):
        open_demonstrations(tmp_path / "episode_0.hdf5")


def test_actions_that_lie_in_another_file_are_refused(path, tmp_path):
    """HDF5 would read any file of this machine into the data set."""
    (tmp_path / "secret").write_bytes(bytes(1000))
    with h5py.File(path, "a") as file:
        steps = LENGTHS["demo_0"]
        del file["data/demo_0/actions"]
        outside = [(str(tmp_path / "secret"), 0, steps * 7 * 8)]
        file.create_dataset("data/demo_0/actions", (steps, 7), np.float64, external=outside)
    with pytest.raises(ValueError, match="data/demo_0/actions in .* takes its bytes from other files"):
        open_demonstrations(path)
