import pytest

from distillation.sources.frame_specs import FrameSpec, frames_of_episodes, parse_frame_spec


@pytest.mark.parametrize(
    ("source", "spec"),
    [
        ("zarr:a/b.zarr", FrameSpec("a/b.zarr", None, 1)),
        ("lerobot:org/name@v2#observation.images.top?every=5", FrameSpec("org/name@v2", "observation.images.top", 5)),
        ("hdf5:demos.hdf5#front", FrameSpec("demos.hdf5", "front", 1)),
        ("video:clips?every=10", FrameSpec("clips", None, 10)),
    ],
)
def test_a_source_names_place_camera_and_stride(source, spec):
    assert parse_frame_spec(source) == spec


@pytest.mark.parametrize("source", ["zarr:", "avi:a", "video:a?every=0", "hdf5:a?camera=b", "lerobot:a#b#c"])
def test_a_source_of_another_form_is_refused_with_those_there_are(source):
    with pytest.raises(ValueError, match="expected zarr:, hdf5:, video: with a path, or lerobot:"):
        parse_frame_spec(source)


def test_of_each_episode_the_first_frame_is_kept_then_each_nth():
    assert [list(frames) for frames in frames_of_episodes([5, 6, 10], 2)] == [[0, 2, 4], [5], [6, 8]]
