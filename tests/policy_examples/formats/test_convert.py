import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from policy_examples.formats import convert
from policy_examples.formats.lerobot import ORIGIN
from policy_examples.store import open_demonstrations, save_demonstrations
from tests.policy_examples.formats.lerobot_folders import write_v3


@pytest.fixture
def ours(tmp_path, demonstrations):
    save_demonstrations(demonstrations, tmp_path / "ours.zarr")
    return tmp_path / "ours.zarr"


def run(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["xdistill convert", *map(str, arguments)])
    convert.main()


def test_a_store_goes_to_lerobot_and_back(ours, tmp_path, monkeypatch, demonstrations):
    run(monkeypatch, ours, tmp_path / "lerobot", "--format", "lerobot", "--fps", 80)
    run(monkeypatch, tmp_path / "lerobot", tmp_path / "back.zarr")
    back = open_demonstrations(tmp_path / "back.zarr")
    for name in ("images", "agent_pos", "actions", "episode_ends"):
        assert np.array_equal(getattr(back, name), getattr(demonstrations, name))
    task = demonstrations.origin["task"].replace("-", " ")
    assert back.origin == {**demonstrations.origin, "fps": 80, "robot_type": "metaworld", "instruction": task}


def test_what_was_written_is_told_by_the_names_that_training_takes(tmp_path, monkeypatch, demonstrations, capsys):
    several = replace(demonstrations, cameras={"wrist": demonstrations.images})
    save_demonstrations(several, tmp_path / "ours.zarr")
    run(monkeypatch, tmp_path / "ours.zarr", tmp_path / "out.zarr")
    states, actions = several.agent_pos.shape[1], several.actions.shape[1]
    assert capsys.readouterr().out == (
        f"zarr: {tmp_path}/out.zarr: 2 episodes, 21 steps; cameras image, image_wrist; "
        f"agent_pos ({states},), action ({actions},)\n"
    )


def test_arrays_can_be_named_on_the_command_line(ours, tmp_path, monkeypatch, demonstrations):
    names = ("--cameras", "img", "--state", "state[:3]", "action[1:2]", "--action", "action", "--image-size-px", 8)
    run(monkeypatch, ours, tmp_path / "out.zarr", *names)
    loaded = open_demonstrations(tmp_path / "out.zarr")
    assert loaded.images.shape == (21, 8, 8, 3)
    named = {"state": ["state[:3]", "action[1:2]"], "action": "action"}
    assert loaded.origin == {**demonstrations.origin, "image_size_px": 8, "rendered_px": 32, "selection": named}
    assert np.array_equal(loaded.agent_pos[:, :3], demonstrations.agent_pos[:, :3])
    assert np.array_equal(loaded.agent_pos[:, 3:], demonstrations.actions[:, 1:2])


def test_frames_keep_their_aspect_where_height_and_width_are_given(ours, tmp_path, monkeypatch):
    run(monkeypatch, ours, tmp_path / "out.zarr", "--image-size-px", 6, 8)
    loaded = open_demonstrations(tmp_path / "out.zarr")
    assert loaded.images.shape == (21, 6, 8, 3)
    assert "image_size_px" not in loaded.origin  # no simulator draws such frames
    with pytest.raises(SystemExit, match="image_size_px: expected 1 px or more, got"):
        run(monkeypatch, ours, tmp_path / "none.zarr", "--image-size-px", 6, 0)


def test_a_store_and_a_dataset_of_resized_frames_tell_the_size_that_these_have(ours, tmp_path, monkeypatch):
    import zarr

    run(monkeypatch, ours, tmp_path / "out.zarr", "--image-size-px", 8)
    written: Any = dict(zarr.open_group(str(tmp_path / "out.zarr"), mode="r").attrs)
    assert written["origin"]["image_size_px"] == 8
    run(monkeypatch, ours, tmp_path / "lerobot", "--image-size-px", 8, "--format", "lerobot", "--fps", 80)
    assert json.loads((tmp_path / "lerobot" / ORIGIN).read_text())["image_size_px"] == 8


def test_what_lerobot_needs_and_the_input_does_not_say_is_asked_for(ours, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="a LeRobotDataset says more than .* does; give --fps, whole steps a second"):
        run(monkeypatch, ours, tmp_path / "lerobot", "--format", "lerobot")
    import zarr

    zarr.open_group(str(ours), mode="a").attrs["origin"] = {}
    with pytest.raises(
        SystemExit, match="a LeRobotDataset says more than .* does; give --instruction, the task in words"
    ):
        run(monkeypatch, ours, tmp_path / "lerobot", "--format", "lerobot", "--fps", 80)
    assert not (tmp_path / "lerobot").exists()


def test_a_rate_that_was_given_stays_with_a_store_too(ours, tmp_path, monkeypatch):
    run(monkeypatch, ours, tmp_path / "out.zarr", "--fps", 20, "--instruction", "lift the red cube")
    origin = open_demonstrations(tmp_path / "out.zarr").origin
    assert (origin["fps"], origin["instruction"]) == (20, "lift the red cube")


def test_words_that_were_given_stay_with_the_demonstrations(ours, tmp_path, monkeypatch):
    given = ("--format", "lerobot", "--fps", 80, "--instruction", "lift the red cube")
    run(monkeypatch, ours, tmp_path / "first", *given)
    run(monkeypatch, tmp_path / "first", tmp_path / "between.zarr")
    run(monkeypatch, tmp_path / "between.zarr", tmp_path / "second", "--format", "lerobot", "--image-size-px", 8)
    assert pq.read_table(tmp_path / "second/meta/episodes")["tasks"].to_pylist() == [["lift the red cube"]] * 2


def test_a_robot_and_the_names_of_its_joints_stay_with_the_demonstrations(ours, tmp_path, monkeypatch):
    run(monkeypatch, ours, tmp_path / "first", "--format", "lerobot", "--fps", 80)
    path = tmp_path / "first/meta/info.json"
    info = json.loads(path.read_text())
    joints = [f"joint {number}" for number in range(info["features"]["observation.state"]["shape"][0])]
    info["features"]["observation.state"]["names"] = {"motors": joints}
    path.write_text(json.dumps(info | {"robot_type": "so100"}))
    run(monkeypatch, tmp_path / "first", tmp_path / "second", "--format", "lerobot", "--state", "observation.state[:2]")
    info = json.loads((tmp_path / "second/meta/info.json").read_text())
    assert info["robot_type"] == "so100"
    assert info["features"]["observation.state"]["names"] == joints[:2]
    assert info["features"]["action"]["names"][0] == "action_0"  # nobody named them


def test_a_rate_that_lerobot_cannot_count_is_not_rounded(ours, tmp_path, monkeypatch):
    run(monkeypatch, ours, tmp_path / "first", "--format", "lerobot", "--fps", 80)
    path = tmp_path / "first/meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fps": 12.5}))
    with pytest.raises(SystemExit, match="fps: a LeRobotDataset counts whole steps a second, .* has 12.5; give --fps"):
        run(monkeypatch, tmp_path / "first", tmp_path / "second", "--format", "lerobot")


def test_one_task_of_several_is_converted_with_its_own_words(tmp_path, monkeypatch):
    write_v3(tmp_path / "several", tasks=("push-down", "pull"))
    chosen = ("--filter", "push-down", "--format", "lerobot")
    run(monkeypatch, tmp_path / "several", tmp_path / "one", *chosen)
    assert pq.read_table(tmp_path / "one/meta/episodes")["tasks"].to_pylist() == [["push-down"]]
    assert open_demonstrations(tmp_path / "one").origin["recorded_task"] == "push-down"


def test_a_rate_below_zero_is_refused_before_anything_is_written(ours, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="xdistill convert: fps: expected a number above 0, got -5"):
        run(monkeypatch, ours, tmp_path / "out.zarr", "--fps", -5)
    assert not (tmp_path / "out.zarr").exists()
