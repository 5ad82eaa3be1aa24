from typing import Any

import numpy as np
import pytest

from policy_examples.store import load_demonstrations, save_demonstrations


@pytest.fixture
def path(tmp_path, demonstrations):
    save_demonstrations(demonstrations, tmp_path / "demonstrations.zarr")
    return tmp_path / "demonstrations.zarr"


def test_demonstrations_come_back_as_they_were_saved(path, demonstrations):
    loaded = load_demonstrations(path)
    for name in ("images", "agent_pos", "actions", "episode_ends"):
        assert np.array_equal(getattr(loaded, name), getattr(demonstrations, name))
    assert loaded.origin == demonstrations.origin


def test_the_store_has_the_format_and_the_arrays_that_diffusion_policy_reads(path):
    import zarr

    root: Any = zarr.open_group(str(path), mode="r")
    assert root.metadata.zarr_format == 2
    assert sorted(root["data"].keys()) == ["action", "img", "state"]
    assert list(root["meta"].keys()) == ["episode_ends"]
    assert root["data/img"].shape[0] == root["meta/episode_ends"][-1]


def test_a_taken_path_is_refused(path, demonstrations):
    with pytest.raises(ValueError, match="exists already; delete it or name another"):
        save_demonstrations(demonstrations, path)


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is not a zarr group .*`xdistill demos` writes one"):
        load_demonstrations(tmp_path)


def test_a_store_without_images_is_refused_by_the_name_of_the_array(path):
    import zarr

    del zarr.open_group(str(path), mode="a")["data/img"]
    with pytest.raises(ValueError, match="has no array 'data/img'; the layout of Diffusion Policy and DP3 is"):
        load_demonstrations(path)


def test_a_truncated_chunk_is_refused(path):
    chunk = path / "data/img/0.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"data/img in .* is damaged"):
        load_demonstrations(path)


def test_a_lost_chunk_is_refused(path):
    (path / "data/action/0.0").unlink()
    with pytest.raises(ValueError, match=r"data/action in .* is damaged: its CRC-32 is"):
        load_demonstrations(path)


def test_arrays_of_different_lengths_are_refused(tmp_path, path):
    import zarr

    root = zarr.open_group(str(path), mode="a")
    del root["data/action"]
    root.create_array("data/action", data=np.zeros((20, 4), dtype=np.float32))
    root.attrs["crc32"] = {}
    with pytest.raises(ValueError, match=r"different lengths: .*'data/action': 20"):
        load_demonstrations(path)


def test_float_images_are_refused(path):
    import zarr

    root = zarr.open_group(str(path), mode="a")
    del root["data/img"]
    root.create_array("data/img", data=np.zeros((21, 32, 32, 3), dtype=np.float32))
    root.attrs["crc32"] = {}
    with pytest.raises(ValueError, match=r"data/img in .* must be \(N, H, W, 3\) uint8, got .* float32"):
        load_demonstrations(path)
