import itertools

import h5py
import numpy as np
import pytest
import torch
import zarr

from distillation.adapting.held_out import MEASURED, each_camera, hold_out_evenly, hold_out_last
from distillation.datasets import open_images
from distillation.sources.concatenation import ConcatenatedImages


class Numbered:
    """Images that are known by number alone."""

    shards: tuple[int, ...] | None = None
    fingerprint = "1234"

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> torch.Tensor:
        return torch.tensor(index)

    def where(self, index: int) -> str:
        return f"number {index}"


def numbers(part) -> list[int]:
    return [int(part.read(index)) for index in range(len(part))]


def test_of_frames_the_last_ones_are_held_out():
    learned, held = hold_out_last([Numbered(20)], 0.25)
    assert numbers(learned) == list(range(15))
    assert numbers(held) == [15, 16, 17, 18, 19]
    assert held.where(1) == "number 16"
    assert learned.fingerprint != held.fingerprint


def test_the_last_frames_of_every_source_are_held_out():
    learned, held = hold_out_last([Numbered(8), Numbered(12)], 0.25)
    assert held.where(0) == "number 6"
    assert numbers(held) == [6, 7, 9, 10, 11]
    assert numbers(learned) == [*range(6), *range(9)]


def test_each_camera_of_a_recording_holds_the_same_moments_out():
    learned, held = hold_out_last([ConcatenatedImages([Numbered(8), Numbered(8)])], 0.25)
    assert numbers(held) == [6, 7, 6, 7]
    assert numbers(learned) == [*range(6), *range(6)]


def test_the_cameras_of_a_zarr_store_are_one_after_the_other(tmp_path):
    store = zarr.open_group(tmp_path / "demos.zarr", mode="w", zarr_format=2)
    for camera in ("front", "wrist"):
        store[f"data/{camera}"] = np.zeros((12, 8, 8, 3), np.uint8)
    store["meta/episode_ends"] = np.array([12])
    front, wrist = each_camera(open_images((f"zarr:{tmp_path / 'demos.zarr'}",)))
    assert (list(front), list(wrist)) == (list(range(12)), list(range(12, 24)))


def test_the_cameras_of_hdf5_demonstrations_take_turns(tmp_path):
    with h5py.File(tmp_path / "demos.hdf5", "w") as file:
        for demo, name in itertools.product((0, 1), ("front", "wrist")):
            file[f"data/demo_{demo}/obs/{name}"] = np.zeros((4, 8, 8, 3), np.uint8)
    front, wrist = each_camera(open_images((f"hdf5:{tmp_path / 'demos.hdf5'}",)))
    assert list(front) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert list(wrist) == [4, 5, 6, 7, 12, 13, 14, 15]


def test_of_general_images_some_from_all_over_are_held_out():
    learned, held = hold_out_evenly(Numbered(20), 0.25)
    assert numbers(held) == [0, 4, 9, 14, 19]
    assert sorted(numbers(learned) + numbers(held)) == list(range(20))


def test_a_large_collection_is_measured_on_a_part_of_what_is_held_out():
    learned, held = hold_out_last([Numbered(100_000)], 0.1)
    assert len(learned) == 90_000
    assert len(held) == MEASURED
    assert (numbers(held)[0], numbers(held)[-1]) == (90_000, 99_999)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="12 are too few to hold a share of 0.1 out"):
        hold_out_last([Numbered(100), Numbered(12)], 0.1)
    with pytest.raises(ValueError, match="12 are too few to hold a share of 0.1 out"):
        hold_out_evenly(Numbered(12), 0.1)
