import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from policy_examples.formats import lerobot_writer
from policy_examples.formats.episodes import Episodes, Selection
from policy_examples.formats.lerobot_writer import write_lerobot
from policy_examples.formats.opening import open_episodes
from policy_examples.store import open_demonstrations, save_demonstrations


@pytest.fixture
def episodes(tmp_path, demonstrations) -> Episodes:
    """`demonstrations` with a second camera and point clouds, on disk."""
    random = np.random.default_rng(2)
    wrist = random.integers(0, 256, (21, 16, 16, 3), dtype=np.uint8)
    clouds = random.normal(size=(21, 4, 3)).astype(np.float32)
    save_demonstrations(replace(demonstrations, cameras={"wrist": wrist}, point_clouds=clouds), tmp_path / "ours.zarr")
    return open_episodes(tmp_path / "ours.zarr", Selection())


@pytest.fixture
def root(tmp_path, episodes):
    write_lerobot(episodes, tmp_path / "lerobot", fps=80, instruction="reach the goal")
    return tmp_path / "lerobot"


def test_what_is_written_is_read_back_without_loss(root, episodes):
    loaded = open_demonstrations(root)
    first, second = episodes.read(0), episodes.read(1)
    assert loaded.episode_ends.tolist() == [12, 21]
    assert np.array_equal(loaded.images, np.concatenate([first["img"], second["img"]]))
    assert np.array_equal(loaded.cameras["wrist"], np.concatenate([first["img_wrist"], second["img_wrist"]]))
    assert np.array_equal(loaded.agent_pos, np.concatenate([first["state"], second["state"]]))
    assert np.array_equal(loaded.actions, np.concatenate([first["action"], second["action"]]))
    assert loaded.point_clouds is None
    said = {"fps": 80, "robot_type": "metaworld", "instruction": "reach the goal"}
    assert loaded.origin == {**episodes.origin, **said}


def test_the_words_of_a_task_that_the_origin_does_not_name_are_read_back(tmp_path, episodes):
    write_lerobot(replace(episodes, origin={}), tmp_path / "lerobot", fps=80, instruction="reach the goal")
    assert open_demonstrations(tmp_path / "lerobot").origin["recorded_task"] == "reach the goal"


def test_rows_count_time_in_steps_of_the_given_rate(root):
    table = pq.read_table(root / "data/chunk-000/file-000.parquet")
    assert table["index"].to_pylist() == list(range(21))
    assert table["frame_index"].to_pylist() == [*range(12), *range(9)]
    assert table["episode_index"].to_pylist() == [0] * 12 + [1] * 9
    assert table["timestamp"].to_pylist()[:3] == pytest.approx([0, 1 / 80, 2 / 80])


def test_info_names_every_column_and_counts_what_is_there(root):
    info = json.loads((root / "meta/info.json").read_text())
    assert [info[name] for name in ("total_episodes", "total_frames", "total_tasks", "fps")] == [2, 21, 1, 80]
    assert set(info["features"]) == set(pq.read_schema(root / "data/chunk-000/file-000.parquet").names)
    assert info["features"]["observation.image"]["shape"] == [32, 32, 3]
    assert info["features"]["observation.images.wrist"]["shape"] == [16, 16, 3]


def test_statistics_are_those_of_all_pixels_and_all_rows(root, episodes):
    stats = json.loads((root / "meta/stats.json").read_text())
    pixels = np.concatenate([episodes.read(index)["img"] for index in (0, 1)]).reshape(-1, 3) / 255
    actions = np.concatenate([episodes.read(index)["action"] for index in (0, 1)]).astype(np.float64)
    for name, values in {"observation.image": pixels, "action": actions}.items():
        expected = {
            "min": values.min(0),
            "max": values.max(0),
            "mean": values.mean(0),
            "std": values.std(0),
            "q01": np.quantile(values, 0.01, axis=0),
            "q50": np.quantile(values, 0.5, axis=0),
        }
        for kind, numbers in expected.items():
            tolerance = 1 / 255 if name == "observation.image" and kind.startswith("q") else 1e-9
            assert np.ravel(stats[name][kind]) == pytest.approx(numbers, abs=tolerance)
        assert stats[name]["count"] == [21]
    assert np.shape(stats["observation.image"]["mean"]) == (3, 1, 1)


def test_each_episode_is_listed_with_its_rows_and_its_own_statistics(root, episodes):
    first, second = pq.read_table(root / "meta/episodes").to_pylist()
    assert (first["dataset_from_index"], first["dataset_to_index"], second["dataset_to_index"]) == (0, 12, 21)
    assert second["tasks"] == ["reach the goal"]
    assert second["stats/action/max"] == pytest.approx(episodes.read(1)["action"].max(0))


def test_rows_go_to_another_file_where_one_is_full(tmp_path, episodes, monkeypatch):
    monkeypatch.setattr(lerobot_writer, "FILE_BYTES", 1)
    monkeypatch.setattr(lerobot_writer, "_FILES_PER_CHUNK", 1)
    write_lerobot(episodes, tmp_path / "lerobot", fps=80, instruction="reach")
    files = sorted((tmp_path / "lerobot/data").rglob("*.parquet"))
    assert [str(file.relative_to(tmp_path / "lerobot/data")) for file in files] == [
        "chunk-000/file-000.parquet",
        "chunk-001/file-000.parquet",
    ]
    assert pq.read_table(tmp_path / "lerobot/meta/episodes")["data/chunk_index"].to_pylist() == [0, 1]
    assert np.array_equal(open_demonstrations(tmp_path / "lerobot").actions[12:], episodes.read(1)["action"])


def test_a_taken_path_is_refused_and_nothing_half_written_stays(tmp_path, root, episodes):
    with pytest.raises(ValueError, match="exists already; delete it or name another path"):
        write_lerobot(episodes, root, fps=80, instruction="reach")

    def fail(index):
        raise ValueError("demonstrations: damaged")

    with pytest.raises(ValueError, match="damaged"):
        write_lerobot(Episodes((3,), fail), tmp_path / "other", fps=80, instruction="reach")
    assert not (tmp_path / "other").exists()
