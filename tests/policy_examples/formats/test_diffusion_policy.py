import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import zarr

from policy_examples.formats.episodes import Selection
from policy_examples.store import open_demonstrations, save_demonstrations

STEPS = 21
ENDS = np.array([12, 21])


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def write(tmp_path, random):
    """write(**arrays) -> a store with these in data/, next to state and action, as Diffusion Policy writes it.

    Its zarr 2 writes every chunk, zarr 3 only with `write_empty_chunks`.
    """

    def write_store(ends: np.ndarray = ENDS, write_empty_chunks: bool = True, **arrays: np.ndarray):
        path = tmp_path / "foreign.zarr"
        root = zarr.open_group(str(path), mode="w", zarr_format=2)
        config: Any = {"write_empty_chunks": write_empty_chunks}
        vectors = {"state": random.normal(size=(STEPS, 5)), "action": random.normal(size=(STEPS, 2))}
        for name, values in (vectors | arrays).items():
            if values is not None:
                root.create_array(f"data/{name}", data=values, chunks=(7, *values.shape[1:]), config=config)
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


@pytest.mark.parametrize("beside", [("keypoint",), ("n_contacts",), ("keypoint", "n_contacts")])
def test_the_block_of_pusht_is_shown_to_a_policy_only_if_it_is_named(write, images, random, beside):
    arrays = {"keypoint": random.normal(size=(STEPS, 9, 2)), "n_contacts": np.ones((STEPS, 1))}
    path = write(img=images, **{name: arrays[name] for name in beside})
    listed = " and ".join(f"data/{name}" for name in beside)
    named = rf"data/state \(21, 5\) beside {listed}, .*--state of .*--selection.state of .*state\[:2\] for the agent"
    with pytest.raises(ValueError, match=named):
        open_demonstrations(path)
    assert open_demonstrations(path, Selection(state=("state[:2]",))).agent_pos.shape == (STEPS, 2)
    assert open_demonstrations(path, Selection(state=("state",))).agent_pos.shape == (STEPS, 5)


def test_a_state_of_other_columns_is_taken_beside_key_points_too(write, images, random):
    path = write(img=images, keypoint=random.normal(size=(STEPS, 9, 2)), state=random.normal(size=(STEPS, 2)))
    assert open_demonstrations(path).agent_pos.shape == (STEPS, 2)


def test_names_of_numbers_follow_the_columns_that_are_taken(tmp_path, demonstrations):
    """By these names a robot's loop sends numbers to motors."""
    states = [f"s{number}" for number in range(demonstrations.agent_pos.shape[1])]
    actions = [f"a{number}" for number in range(demonstrations.actions.shape[1])]
    origin = {"state_names": states, "action_names": actions}
    save_demonstrations(replace(demonstrations, origin=origin), tmp_path / "named.zarr")
    whole = open_demonstrations(tmp_path / "named.zarr").origin
    assert (whole["state_names"], whole["action_names"]) == (states, actions)
    turned = Selection(state=("state[1:]", "state[:1]"), action="action[1:]")
    chosen = open_demonstrations(tmp_path / "named.zarr", turned).origin
    assert (chosen["state_names"], chosen["action_names"]) == ([*states[1:], states[0]], actions[1:])
    other = open_demonstrations(tmp_path / "named.zarr", Selection(state=("state", "action"))).origin
    assert "state_names" not in other


def test_point_clouds_of_dp3_lose_their_colours(write, images, random):
    clouds = random.normal(size=(STEPS, 4, 6))
    depth = random.normal(size=(STEPS, 8, 8))
    path = write(img=images, point_cloud=clouds, depth=depth, compliant_img=images[::-1])
    loaded = open_demonstrations(path, Selection(cameras=("img",)))
    assert loaded.point_clouds is not None
    assert loaded.point_clouds.dtype == np.float32
    assert np.array_equal(loaded.point_clouds, clouds[..., :3].astype(np.float32))
    assert np.array_equal(loaded.images, images)
    assert loaded.cameras == {}


def test_one_camera_of_any_name_is_found_and_several_must_be_named(write, images):
    assert np.array_equal(open_demonstrations(write(camera_0=images)).images, images)
    path = write(camera_0=images, camera_1=images[::-1])
    with pytest.raises(ValueError, match=r"2 others look like images; name those .*--selection.cameras .*camera_1"):
        open_demonstrations(path)
    with pytest.raises(ValueError, match="the cameras camera_0 and camera_0 would both be called 'camera_0'"):
        open_demonstrations(path, Selection(cameras=("camera_0", "camera_0")))
    loaded = open_demonstrations(path, Selection(cameras=("camera_1", "camera_0")))
    assert np.array_equal(loaded.images, images[::-1])
    assert np.array_equal(loaded.cameras["camera_0"], images)


def test_cameras_beside_img_that_have_other_names_are_not_lost_in_silence(write, images):
    path = write(img=images, wrist_img=images[::-1], depth=images[..., 0])
    with pytest.raises(ValueError, match=r"has the array 'data/img', and 1 others look like images; name those"):
        open_demonstrations(path)
    assert open_demonstrations(path, Selection(cameras=("img",))).cameras == {}
    assert list(open_demonstrations(path, Selection(cameras=("img", "wrist_img"))).cameras) == ["wrist_img"]


def test_a_recording_whose_frames_are_films_says_what_makes_a_zarr_of_them(write):
    path = write()
    (path.parent / "videos").mkdir()
    with pytest.raises(
        ValueError, match=r"holds no frames, .* as films in .*videos; give the zarr that its real_world"
    ):
        open_demonstrations(path)


def test_point_clouds_without_frames_are_told_that_frames_are_needed(write, random):
    path = write(point_cloud=random.normal(size=(STEPS, 16, 6)))
    with pytest.raises(ValueError, match="frames are needed also where a policy reads the point clouds alone"):
        open_demonstrations(path)


def test_a_store_tells_how_many_points_its_clouds_have(write, images, random):
    path = write(img=images, point_cloud=random.normal(size=(STEPS, 1024, 6)))
    assert open_demonstrations(path).origin["points"] == 1024


def test_of_two_states_or_actions_one_must_be_named(write, images, random):
    """`state` beside `agent_pos` may be the simulator's, with what no camera policy may read."""
    path = write(img=images, agent_pos=random.normal(size=(STEPS, 9)))
    with pytest.raises(ValueError, match=r"has data/state \(21, 5\) and data/agent_pos \(21, 9\); name the one to"):
        open_demonstrations(path)
    assert open_demonstrations(path, Selection(state=("agent_pos",))).agent_pos.shape == (21, 9)


@pytest.mark.parametrize("origin", ["a lab", ["a", "lab"], 3])
def test_what_others_call_origin_is_not_taken_for_ours(write, images, origin):
    path = write(img=images)
    zarr.open_group(str(path), mode="a").attrs["origin"] = origin
    assert open_demonstrations(path).origin == {"image_size_px": 8}


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


def zipped(folder: Path, target: Path) -> Path:
    with ZipFile(target, "w") as file:
        for part in folder.rglob("*"):
            file.write(part, part.relative_to(folder))
    return target


def test_a_zip_is_read_as_the_folder_is(write, images, tmp_path):
    path = write(img=images)
    from_zip, folder = open_demonstrations(zipped(path, tmp_path / "foreign.zarr.zip")), open_demonstrations(path)
    assert np.array_equal(from_zip.images, folder.images)
    assert np.array_equal(from_zip.actions, folder.actions)


@pytest.mark.parametrize(("name", "chunk"), [("img", "1.0.0.0"), ("state", "0.0"), ("action", "2.0")])
def test_an_array_that_was_copied_in_part_is_refused(write, images, name, chunk):
    path = write(img=images)
    (path / "data" / name / chunk).unlink()
    with pytest.raises(ValueError, match=rf"data/{name} in .* has 2 of 3 chunks, .* as 0.*; copy the store again"):
        open_demonstrations(path)


def test_chunks_are_counted_inside_a_zip_too(write, images, tmp_path):
    path = write(img=images)
    (path / "data/img/0.0.0.0").unlink()
    with pytest.raises(ValueError, match="data/img in .* has 2 of 3 chunks"):
        open_demonstrations(zipped(path, tmp_path / "foreign.zarr.zip"))


def test_an_array_that_nobody_reads_may_lack_chunks(write, images, random):
    path = write(img=images, depth=random.normal(size=(STEPS, 8, 8)))
    (path / "data/depth/0.0.0").unlink()
    assert np.array_equal(open_demonstrations(path).images, images)


def test_black_frames_are_read_if_they_were_written_and_refused_with_the_way_out_if_zarr_left_them_out(write, images):
    images[7:14] = 0  # one chunk
    with pytest.raises(
        ValueError, match="zarr 3 itself leaves out .*fill value: .*rewrite it with write_empty_chunks=True"
    ):
        open_demonstrations(write(img=images, write_empty_chunks=False))
    assert np.array_equal(open_demonstrations(write(img=images)).images, images)


def test_black_frames_of_our_own_are_read_because_their_checksum_is_right(tmp_path, demonstrations):
    save_demonstrations(replace(demonstrations, images=np.zeros_like(demonstrations.images)), tmp_path / "ours.zarr")
    assert list((tmp_path / "ours.zarr/data/img").glob("0*")) == []
    assert not open_demonstrations(tmp_path / "ours.zarr").images.any()


def test_chunks_are_counted_where_they_lie_in_shards(tmp_path, images, random):
    root = zarr.open_group(str(tmp_path / "sharded.zarr"), mode="w", zarr_format=3)
    for name, values in {"state": random.normal(size=(STEPS, 5)), "action": np.ones((STEPS, 2)), "img": images}.items():
        step = values.shape[1:]
        shape = {"shape": values.shape, "chunks": (2, *step), "shards": (8, *step)}
        root.create_array(f"data/{name}", dtype=values.dtype, **shape)[:] = values
    root.create_array("meta/episode_ends", data=ENDS)
    assert np.array_equal(open_demonstrations(tmp_path / "sharded.zarr").images, images)
    (tmp_path / "sharded.zarr/data/img/c/1/0/0/0").unlink()
    with pytest.raises(ValueError, match="data/img in .* of 11 chunks"):
        open_demonstrations(tmp_path / "sharded.zarr")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"state": None}, "no array data/state or data/agent_pos; name what .*--state .*--selection.state .*action"),
        ({"action": None}, "no array data/action or data/actions; name what .*--action .*--selection.action .*state"),
        ({"img": None}, "no array 'data/img', and 0 others look like images; name those"),
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


def test_arrays_of_objects_are_refused_unread(write, images):
    """Objects are pickles, which run what they like."""
    path = write(img=images)
    meta = json.loads((path / "meta/episode_ends/.zarray").read_text())
    changed = {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}], "fill_value": None}
    (path / "meta/episode_ends/.zarray").write_text(json.dumps(meta | changed))
    with pytest.raises(ValueError, match="episode_ends in .* must hold numbers, got|is not a zarr group"):
        open_demonstrations(path)
