import json
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import zarr

from policy_examples.formats.episodes import Selection
from policy_examples.store import open_demonstrations

STEPS = 21
ENDS = np.array([12, 21])


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def write(tmp_path, random):
    """write(**arrays) -> a store with these in data/, next to state and action, as Diffusion Policy writes it."""

    def write_store(ends: np.ndarray = ENDS, **arrays: np.ndarray):
        path = tmp_path / "foreign.zarr"
        root = zarr.open_group(str(path), mode="w", zarr_format=2)
        vectors = {"state": random.normal(size=(STEPS, 5)), "action": random.normal(size=(STEPS, 2))}
        for name, values in (vectors | arrays).items():
            if values is not None:
                root.create_array(f"data/{name}", data=values, chunks=(7, *values.shape[1:]))
        root.create_array("meta/episode_ends", data=ends)
        return path

    return write_store


@pytest.fixture
def images(random):
    return random.integers(0, 256, (STEPS, 8, 8, 3), dtype=np.uint8)


def test_images_are_read_as_uint8_whatever_they_are_kept_as(write, images):
    kept = {
        "uint8": images,
        "float in [0, 255], pusht's": images.astype(np.float32),
        "float in [0, 1]": (images / 255).astype(np.float32),
        "channels first": images.transpose(0, 3, 1, 2),
    }
    for values in kept.values():
        assert np.array_equal(open_demonstrations(write(img=values)).images, images)


def test_vectors_become_float32_and_episodes_keep_their_ends(write, images):
    loaded = open_demonstrations(write(img=images))
    assert loaded.agent_pos.dtype == loaded.actions.dtype == np.float32
    assert loaded.episode_ends.tolist() == [12, 21]
    assert loaded.origin == {"image_size_px": 8}


def test_columns_of_a_state_can_be_chosen_so_that_the_block_of_pusht_stays_unseen(write, images):
    path = write(img=images)
    everything = open_demonstrations(path)
    loaded = open_demonstrations(path, Selection(state=("state[:2]", "state[4:]"), action="action[1:2]"))
    assert np.array_equal(loaded.agent_pos, everything.agent_pos[:, [0, 1, 4]])
    assert np.array_equal(loaded.actions, everything.actions[:, 1:])


def test_point_clouds_of_dp3_lose_their_colours(write, images, random):
    clouds = random.normal(size=(STEPS, 4, 6))
    depth = random.normal(size=(STEPS, 8, 8))
    loaded = open_demonstrations(write(img=images, point_cloud=clouds, depth=depth, compliant_img=images[::-1]))
    assert loaded.point_clouds is not None
    assert loaded.point_clouds.dtype == np.float32
    assert np.array_equal(loaded.point_clouds, clouds[..., :3].astype(np.float32))
    assert np.array_equal(loaded.images, images)
    assert loaded.cameras == {}


def test_one_camera_of_any_name_is_found_and_several_must_be_named(write, images):
    assert np.array_equal(open_demonstrations(write(camera_0=images)).images, images)
    path = write(camera_0=images, camera_1=images[::-1])
    with pytest.raises(ValueError, match=r"2 others look like images; name them .*--selection.cameras .*camera_1"):
        open_demonstrations(path)
    with pytest.raises(ValueError, match="the cameras camera_0 and camera_0 would both be called 'camera_0'"):
        open_demonstrations(path, Selection(cameras=("camera_0", "camera_0")))
    loaded = open_demonstrations(path, Selection(cameras=("camera_1", "camera_0")))
    assert np.array_equal(loaded.images, images[::-1])
    assert np.array_equal(loaded.cameras["camera_0"], images)


def test_frames_are_resized_on_request(write):
    grey = np.full((STEPS, 8, 6, 3), 77, np.uint8)
    loaded = open_demonstrations(write(img=grey), Selection(image_size_px=4))
    assert loaded.images.shape == (STEPS, 4, 4, 3)
    assert np.unique(loaded.images).tolist() == [77]
    assert loaded.origin["image_size_px"] == 4


def test_frames_that_are_no_squares_have_no_one_size(write):
    path = write(img=np.zeros((STEPS, 8, 6, 3), np.uint8))
    zarr.open_group(str(path), mode="a").attrs["origin"] = {"task": "reach", "image_size_px": 8}
    assert open_demonstrations(path).origin == {"task": "reach"}


def test_a_zip_is_read_as_the_folder_is(write, images, tmp_path):
    path = write(img=images)
    with ZipFile(tmp_path / "foreign.zarr.zip", "w") as target:
        for file in path.rglob("*"):
            target.write(file, file.relative_to(path))
    zipped, folder = open_demonstrations(tmp_path / "foreign.zarr.zip"), open_demonstrations(path)
    assert np.array_equal(zipped.images, folder.images)
    assert np.array_equal(zipped.actions, folder.actions)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"state": None}, "no array data/state or data/agent_pos; name what .*--state .*--selection.state .*action"),
        ({"action": None}, "no array data/action or data/actions; name what .*--action .*--selection.action .*state"),
        ({"img": None}, "no array 'data/img', and 0 others look like images; name them"),
        ({"action": np.zeros((20, 2))}, r"different lengths: \{'data/action': 20\}, .* ends at 21"),
        ({"state": np.full((21, 5), np.nan)}, r"state in data/ of .* \(N, D\) finite numbers, got .* with 60 others"),
        ({"state": np.zeros((21, 2, 2))}, r"state in data/ of .* \(N, D\) finite numbers, got \(12, 2, 2\)"),
        ({"img": np.full((21, 8, 8, 3), -0.5)}, r"uint8, or float in \[0, 1\] or \[0, 255\], got values from -0.5"),
        (
            {"img": np.full((21, 8, 8, 3), 1.5)},
            r"uint8, or float in \[0, 1\] or \[0, 255\], got values from 1.5 to 1.5",
        ),
        ({"img": np.zeros((21, 8, 8, 3), np.int32)}, r"data/img in .* got \(21, 8, 8, 3\) int32"),
        (
            {"img": np.zeros((21, 8, 8, 4), np.uint8)},
            r"img in data/ of .* must be \(N, H, W, 3\) .* got \(12, 8, 8, 4\)",
        ),
        ({"point_cloud": np.zeros((21, 8, 2))}, r"must be \(N, points, 3 or more\) floats, got \(12, 8, 2\)"),
        ({"ends": np.array([12, 12, 21])}, r"whole numbers that rise, got \[12, 12, 21\]"),
        ({"ends": np.array([12, 22])}, r"different lengths: .*'data/action': 21.* ends at 22"),
    ],
)
def test_a_store_that_does_not_fit_says_what_is_wrong_with_it(write, images, arrays, message):
    with pytest.raises(ValueError, match=message):
        open_demonstrations(write(**{"img": images, **arrays}))


def test_a_name_that_is_not_there_is_answered_with_those_that_are(write, images):
    path = write(img=images)
    with pytest.raises(ValueError, match=r"no array 'data/wrist'. In data/: action \(21, 2\) .*, img .*, state"):
        open_demonstrations(path, Selection(cameras=("wrist",)))
    with pytest.raises(ValueError, match=r"state in data/ of .* has 5 columns, none of which is asked for"):
        open_demonstrations(path, Selection(state=("state[5:]",)))


def test_a_frame_outside_the_range_of_the_others_is_refused(write, images):
    values = (images / 255).astype(np.float32)
    values[1, 0, 0, 0] = 3.0
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], as most of its frames are, got .* to 3"):
        open_demonstrations(write(img=values))


def test_a_compression_that_nothing_here_reads_names_the_package(write, images):
    path = write(img=images)
    header = json.loads((path / "data/img/.zarray").read_text())
    (path / "data/img/.zarray").write_text(json.dumps({**header, "compressor": {"id": "imagecodecs_unknown"}}))
    with pytest.raises(ValueError, match="imagecodecs_unknown.*: pip install imagecodecs"):
        open_demonstrations(path)


def test_a_store_without_episodes_or_arrays_says_what_the_layout_is(write, images):
    path = write(img=images)
    root: Any = zarr.open_group(str(path), mode="a")
    del root["meta/episode_ends"]
    with pytest.raises(ValueError, match="no array 'meta/episode_ends'; the layout of Diffusion Policy and DP3 is"):
        open_demonstrations(path)
    root.create_array("meta/episode_ends", data=ENDS)
    del root["data"]
    with pytest.raises(ValueError, match="no arrays in data/; the layout of Diffusion Policy and DP3 is data/img"):
        open_demonstrations(path)
