import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from policy_examples.formats.episodes import Selection
from policy_examples.store import open_demonstrations
from tests.policy_examples.formats.lerobot_folders import ENDS, grey, noise, vectors, write_v2, write_v3, write_video


@pytest.fixture(params=[write_v2, write_v3], ids=["v2.1", "v3.0"])
def root(request, tmp_path):
    return request.param(tmp_path / "dataset")


def test_episodes_states_and_actions_are_read(root):
    loaded = open_demonstrations(root)
    assert loaded.episode_ends.tolist() == ENDS
    assert np.array_equal(loaded.agent_pos, vectors()["observation.state"])
    assert np.array_equal(loaded.actions, vectors()["action"])


def test_frames_are_read_from_videos_and_from_rows_but_no_depth_maps(root):
    loaded = open_demonstrations(root)
    expected = grey(0, len(loaded.images))
    assert loaded.images.shape == expected.shape
    assert np.abs(loaded.images.astype(int) - expected).max() < 6  # a tenth of a level apart would be another frame
    assert list(loaded.cameras) == ["wrist"]
    assert np.array_equal(loaded.cameras["wrist"], noise())


def test_cameras_states_and_actions_can_be_named(root):
    chosen = Selection(cameras=("wrist",), state=("next.reward", "observation.state[1:]"), action="observation.state")
    loaded = open_demonstrations(root, chosen)
    named = {"state": ["next.reward", "observation.state[1:]"], "action": "observation.state"}
    assert loaded.origin["selection"] == named
    assert np.array_equal(loaded.images, noise())
    assert loaded.cameras == {}
    everything = vectors()
    assert np.array_equal(loaded.agent_pos[:, 0], everything["next.reward"])
    assert np.array_equal(loaded.agent_pos[:, 1:], everything["observation.state"][:, 1:])
    assert np.array_equal(loaded.actions, everything["observation.state"])


@pytest.mark.parametrize(("size_px", "shape"), [(16, (16, 16, 3)), ((12, 16), (12, 16, 3))])
def test_frames_are_resized_on_request(root, size_px, shape):
    loaded = open_demonstrations(root, Selection(image_size_px=size_px))
    assert loaded.images.shape[1:] == loaded.cameras["wrist"].shape[1:] == shape


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"cameras": ("front",)},
            r"no observation.images.front .*--selection.cameras .*: observation.images.top, .*depth, .*wrist",
        ),
        (
            {"state": ("joints",)},
            r"no joints; .*--selection.state .*--selection.action .*: observation.state, action, next.reward",
        ),
        ({"state": ("observation.state[3:]",)}, "observation.state of episode 0 .* has 3 columns, none of which is"),
    ],
)
def test_names_that_are_not_there_are_answered_with_those_that_are(root, chosen, message):
    with pytest.raises(ValueError, match=message):
        open_demonstrations(root, Selection(**chosen))


def test_two_cameras_of_one_name_are_told_apart_by_taking_one(root):
    info = json.loads((root / "meta/info.json").read_text())
    features = info["features"]
    features["observation.images.left.wrist"] = features["observation.images.wrist"]
    (root / "meta/info.json").write_text(json.dumps(info))
    named = r"the cameras observation.images.wrist and observation.images.left.wrist would both be called 'wrist'; "
    with pytest.raises(ValueError, match=named + r"name those to take, only one of the two \(--cameras of"):
        open_demonstrations(root)
    assert np.array_equal(open_demonstrations(root, Selection(cameras=("wrist",))).images, noise())


def test_a_format_that_is_not_read_is_named(root):
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps({**info, "codebase_version": "v1.6"}))
    with pytest.raises(ValueError, match=r"is a LeRobotDataset of format v1\.6; v2 and v3 are read"):
        open_demonstrations(root)
    (root / "meta/info.json").write_text("{")
    with pytest.raises(ValueError, match=r"info\.json is not what a LeRobotDataset has there"):
        open_demonstrations(root)


def test_a_list_of_episodes_that_is_lost_or_has_gaps_is_refused(tmp_path):
    root = write_v2(tmp_path)
    path = root / "meta/episodes.jsonl"
    lines = path.read_text().splitlines()
    path.write_text(lines[1])
    with pytest.raises(ValueError, match="does not list episodes 0 to 0, each once"):
        open_demonstrations(root)
    path.unlink()
    with pytest.raises(ValueError, match="the list of episodes in .* is missing or damaged"):
        open_demonstrations(root)


def test_rows_of_other_episodes_are_refused(tmp_path):
    root = write_v3(tmp_path)
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(ValueError, match="has 9 rows, .* lists 10; copy the folder again"):
        open_demonstrations(root)
    pq.write_table(table.take(list(range(9, -1, -1))), path)
    with pytest.raises(ValueError, match="rows 0 to 6 .* are not of episode 0"):
        open_demonstrations(root)


def test_a_damaged_file_of_rows_is_refused(tmp_path):
    root = write_v3(tmp_path)
    path = root / "data/chunk-000/file-000.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"file-000\.parquet is damaged .*; copy it again"):
        open_demonstrations(root)


def test_rows_that_lie_in_several_files_and_groups_come_in_order(tmp_path):
    root = write_v3(tmp_path)
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 5), path, row_group_size=2)
    pq.write_table(table.slice(5), path.with_name("file-001.parquet"), row_group_size=3)
    loaded = open_demonstrations(root, Selection(cameras=("wrist",)))
    assert np.array_equal(loaded.images, noise())
    assert np.array_equal(loaded.actions, vectors()["action"])


def test_a_video_that_is_lost_damaged_or_too_short_is_refused(tmp_path):
    root = write_v3(tmp_path)
    path = root / "videos/observation.images.top/chunk-000/file-000.mp4"
    write_video(path, grey(0, 8))
    with pytest.raises(ValueError, match=r"file-000\.mp4 lacks frames between 0\.600 s and 1\.000 s"):
        open_demonstrations(root)
    path.write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"file-000\.mp4 is missing or damaged"):
        open_demonstrations(root)
    path.unlink()
    with pytest.raises(ValueError, match=r"file-000\.mp4 is missing or damaged"):
        open_demonstrations(root)


def test_without_av_the_error_says_what_to_install(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match="holds videos, which the package av decodes: pip install av"):
        open_demonstrations(root)
    assert len(open_demonstrations(root, Selection(cameras=("wrist",))).images) == 10
