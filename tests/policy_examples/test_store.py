from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policy_examples.formats.episodes import Episodes
from policy_examples.store import open_demonstrations, save_demonstrations, write_zarr


@pytest.fixture
def everything(demonstrations):
    """`demonstrations` with a second camera and point clouds."""
    random = np.random.default_rng(1)
    return replace(
        demonstrations,
        point_clouds=random.normal(size=(21, 5, 3)).astype(np.float32),
        cameras={"wrist": random.integers(0, 256, (21, 16, 16, 3), dtype=np.uint8)},
    )


@pytest.fixture
def path(tmp_path, everything):
    save_demonstrations(everything, tmp_path / "demonstrations.zarr")
    return tmp_path / "demonstrations.zarr"


def test_demonstrations_come_back_as_they_were_saved(path, everything):
    loaded = open_demonstrations(path)
    for name in ("images", "agent_pos", "actions", "episode_ends", "point_clouds"):
        values, expected = getattr(loaded, name), getattr(everything, name)
        assert values.dtype == expected.dtype
        assert np.array_equal(values, expected)
    assert list(loaded.cameras) == ["wrist"]
    assert np.array_equal(loaded.cameras["wrist"], everything.cameras["wrist"])
    assert everything.point_clouds is not None
    assert loaded.origin == {**everything.origin, "points": everything.point_clouds.shape[1]}


def test_what_was_not_recorded_is_not_there(tmp_path, demonstrations):
    save_demonstrations(demonstrations, tmp_path / "demonstrations.zarr")
    loaded = open_demonstrations(tmp_path / "demonstrations.zarr")
    assert loaded.point_clouds is None
    assert loaded.cameras == {}


def test_the_store_has_the_format_and_the_arrays_that_diffusion_policy_reads(path):
    import zarr

    root: Any = zarr.open_group(str(path), mode="r")
    assert root.metadata.zarr_format == 2
    assert sorted(root["data"].keys()) == ["action", "img", "img_wrist", "point_cloud", "state"]
    assert list(root["meta"].keys()) == ["episode_ends"]
    assert {array.shape[0] for _, array in root["data"].arrays()} == {int(root["meta/episode_ends"][:][-1])}


def test_a_taken_path_is_refused(path, demonstrations):
    with pytest.raises(ValueError, match="exists already; delete it or name another"):
        save_demonstrations(demonstrations, path)


def test_nothing_half_written_is_at_the_path(tmp_path):
    """Its second episode has a step less than it says, which the store finds while it writes."""

    def read(index):
        return {"img": np.zeros((3 - index, 8, 8, 3), np.uint8), "state": np.zeros((3, 2), np.float32)}

    with pytest.raises(ValueError, match=r"episode 1 has 3 steps, its arrays of other lengths {'img': 2}"):
        write_zarr(Episodes((3, 3), read), tmp_path / "demonstrations.zarr")
    assert not (tmp_path / "demonstrations.zarr").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"episode_ends": np.array([12, 22])}, r"img: expected 22 rows, where the last episode ends, got 21"),
        ({"episode_ends": np.array([12, 20])}, r"img: expected 20 rows, where the last episode ends, got 21"),
        (
            {"episode_ends": np.array([12, 12, 21])},
            r"episode_ends: expected whole numbers that rise .* got \[12, 12, 21\]",
        ),
        ({"actions": np.zeros((20, 2), np.float32)}, "action: expected 21 rows, where the last episode ends, got 20"),
        ({"agent_pos": np.full((21, 3), np.nan)}, r"agent_pos must be \(N, D\) finite numbers, got .* with 63 others"),
        ({"images": np.zeros((21, 8, 8, 3), np.float32)}, "images must be uint8, got float32"),
        (
            {"cameras": {"left/wrist": np.zeros((21, 8, 8, 3), np.uint8)}},
            "cameras: expected names without '/', got 'le",
        ),
        ({"origin": {"action_names": ["x"]}}, "action_names: expected names of 4 numbers in the origin, got 1"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused_before_anything_is_written(
    tmp_path, demonstrations, changed, message
):
    with pytest.raises(ValueError, match=message):
        save_demonstrations(replace(demonstrations, **changed), tmp_path / "demonstrations.zarr")
    assert not list(tmp_path.iterdir())


def test_lists_and_doubles_are_saved_as_the_store_has_them(tmp_path, demonstrations):
    loose = replace(
        demonstrations,
        actions=demonstrations.actions.astype(np.float64),
        episode_ends=demonstrations.episode_ends.tolist(),
    )
    save_demonstrations(loose, tmp_path / "demonstrations.zarr")
    loaded = open_demonstrations(tmp_path / "demonstrations.zarr")
    assert loaded.actions.dtype == np.float32
    assert np.array_equal(loaded.actions, demonstrations.actions)


def test_a_truncated_chunk_is_refused(path):
    chunk = path / "data/img/0.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"data/img in .* is damaged.*collect them again"):
        open_demonstrations(path)


def test_a_lost_chunk_is_refused(path):
    (path / "data/action/0.0").unlink()
    with pytest.raises(ValueError, match=r"data/action in .* is damaged: its CRC-32 is"):
        open_demonstrations(path)


def test_a_lost_array_is_refused(path):
    import zarr

    del zarr.open_group(str(path), mode="a")["data/img_wrist"]
    with pytest.raises(ValueError, match="has lost its array 'data/img_wrist'; collect them again"):
        open_demonstrations(path)
