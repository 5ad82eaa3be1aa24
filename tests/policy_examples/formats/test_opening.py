from pathlib import Path

import numpy as np
import pytest

from policy_examples.formats.episodes import Selection
from policy_examples.store import open_demonstrations, save_demonstrations


def test_a_path_where_nothing_is_says_what_is_accepted(tmp_path):
    with pytest.raises(
        ValueError, match=r"there is no .*nowhere; accepted are zarr .*DP3 .*robomimic .*LeRobotDataset"
    ):
        open_demonstrations(tmp_path / "nowhere")


def test_the_id_of_a_data_set_that_lerobot_keeps_says_where_it_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path))
    (tmp_path / "me/cup").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=rf"there is no me/cup; LeRobot keeps this data set in {tmp_path}/me/cup, give"
    ):
        open_demonstrations(Path("me/cup"))
    monkeypatch.delenv("HF_LEROBOT_HOME")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "hf/lerobot/me/cup").mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"LeRobot keeps this data set in {tmp_path}/hf/lerobot/me/cup, give that"):
        open_demonstrations(Path("me/cup"))


def test_a_folder_of_something_else_is_named_by_what_it_holds(tmp_path):
    with pytest.raises(ValueError, match="holds nothing; accepted are"):
        open_demonstrations(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"holds notes\.txt; accepted are"):
        open_demonstrations(tmp_path)


def test_a_file_of_something_else_is_named_by_its_beginning(tmp_path):
    path = tmp_path / "demonstrations.hdf5"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=r"begins with b'<html>no', which is neither HDF5 nor zip; accepted are"):
        open_demonstrations(path)


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "demonstrations.zarr.zip"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ValueError, match="is not a zarr group .*`xdistill demos` writes one"):
        open_demonstrations(path)


def test_episodes_are_left_out_by_their_numbers(tmp_path, demonstrations):
    save_demonstrations(demonstrations, tmp_path / "ours.zarr")
    second = open_demonstrations(tmp_path / "ours.zarr", Selection(skip_episodes=(0,)))
    start = demonstrations.episode_ends[0]
    assert second.episode_ends.tolist() == [len(demonstrations.actions) - start]
    assert np.array_equal(second.images, demonstrations.images[start:])
    assert np.array_equal(second.actions, demonstrations.actions[start:])
    assert second.origin["seeds"] == demonstrations.origin["seeds"][1:]


@pytest.mark.parametrize("numbers", [(2,), (-1,), (0, 1)])
def test_episodes_that_are_not_there_and_all_of_them_cannot_be_left_out(tmp_path, demonstrations, numbers):
    save_demonstrations(demonstrations, tmp_path / "ours.zarr")
    with pytest.raises(ValueError, match="skip_episodes: expected some of 0 to 1, and not all, got"):
        open_demonstrations(tmp_path / "ours.zarr", Selection(skip_episodes=numbers))


def test_a_filter_is_refused_where_there_are_neither_lists_of_demonstrations_nor_tasks(tmp_path, demonstrations):
    save_demonstrations(demonstrations, tmp_path / "ours.zarr")
    with pytest.raises(ValueError, match=r"filter: .*lists .*, LeRobotDatasets have tasks, .* is zarr; leave it out"):
        open_demonstrations(tmp_path / "ours.zarr", Selection(filter="train"))


def test_the_origin_notes_the_arrays_that_people_named_and_keeps_what_was_noted_before(tmp_path, demonstrations):
    save_demonstrations(demonstrations, tmp_path / "ours.zarr")
    assert "selection" not in open_demonstrations(tmp_path / "ours.zarr").origin
    fewer = open_demonstrations(tmp_path / "ours.zarr", Selection(state=("state[:2]", "action")))
    assert fewer.origin == {**demonstrations.origin, "selection": {"state": ["state[:2]", "action"]}}
    save_demonstrations(fewer, tmp_path / "fewer.zarr")
    assert open_demonstrations(tmp_path / "fewer.zarr").origin == fewer.origin
    both = open_demonstrations(tmp_path / "fewer.zarr", Selection(action="action[:1]"))
    assert both.origin["selection"] == {"state": ["state[:2]", "action"], "action": "action[:1]"}
