import builtins
import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import DataLoader, Dataset
from zarr.storage import ZipStore

from distillation.sources.decoding import DamagedImage
from distillation.sources.zarr_frames import ZarrFrames, open_zarr
from policy_examples.store import Demonstrations, save_demonstrations

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)
ENDS = np.array([5, 12])


def store(where, zarr_format: Literal[2, 3] = 2, **arrays: np.ndarray) -> None:
    root = zarr.open_group(where, mode="w", zarr_format=zarr_format)
    for name, values in arrays.items():
        root.create_array(f"data/{name}", data=values, chunks=(4, *values.shape[1:]))
    root.create_array("data/action", data=np.zeros((12, 2), np.float32))
    root.create_array("meta/episode_ends", data=ENDS)


def channels_first(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frame.transpose(2, 0, 1).copy())


def test_demonstrations_of_this_project_are_read(tmp_path):
    path = tmp_path / "demonstrations.zarr"
    save_demonstrations(Demonstrations(PIXELS, np.zeros((12, 1), "f4"), np.zeros((12, 2), "f4"), ENDS), path)
    frames = open_zarr(f"zarr:{path}")
    assert len(frames) == 12
    for index in range(12):
        assert torch.equal(frames.read(index), channels_first(PIXELS[index]))
    assert frames.where(7) == f"{path} data/img frame 7"


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    "values",
    [PIXELS, PIXELS.astype(np.float32), PIXELS.transpose(0, 3, 1, 2), PIXELS.transpose(0, 3, 1, 2).astype(np.float64)],
    ids=["HWC", "HWC float", "CHW", "CHW float"],
)
def test_both_layouts_and_types_hold_the_same_frames(tmp_path, values, zarr_format):
    store(str(tmp_path / "a.zarr"), zarr_format, img=values)
    frames = ZarrFrames(tmp_path / "a.zarr")
    assert torch.equal(frames.read(6), channels_first(PIXELS[6]))
    assert (frames.read(6).dtype, frames.read(6).is_contiguous()) == (torch.uint8, True)


def test_a_zip_holds_what_its_folder_holds(tmp_path):
    store(str(tmp_path / "a.zarr"), img=PIXELS)
    with ZipStore(tmp_path / "a.zarr.zip", mode="w") as zipped:
        store(zipped, img=PIXELS)
    folder, archive = ZarrFrames(tmp_path / "a.zarr"), open_zarr(f"zarr:{tmp_path}/a.zarr.zip")
    assert torch.equal(folder.read(11), archive.read(11))
    assert folder.fingerprint == archive.fingerprint


def test_each_camera_is_taken_or_the_one_that_is_named(tmp_path):
    store(str(tmp_path / "a.zarr"), wrist=PIXELS, head=255 - PIXELS, depth=PIXELS[..., 0])
    both = open_zarr(f"zarr:{tmp_path}/a.zarr")
    assert (both.cameras, len(both)) == (["data/head", "data/wrist"], 24)
    assert torch.equal(both.read(3), 255 - both.read(15))
    assert torch.equal(open_zarr(f"zarr:{tmp_path}/a.zarr#wrist").read(3), both.read(15))


def test_a_stride_begins_anew_in_each_episode(tmp_path):
    store(str(tmp_path / "a.zarr"), img=PIXELS)
    frames = open_zarr(f"zarr:{tmp_path}/a.zarr#img?every=3")
    assert frames.frames.tolist() == [0, 3, 5, 8, 11]
    assert torch.equal(frames.read(2), channels_first(PIXELS[5]))
    assert frames.fingerprint != open_zarr(f"zarr:{tmp_path}/a.zarr").fingerprint


class Frames(Dataset):
    def __init__(self, frames: ZarrFrames):
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.frames.read(index)


def test_workers_read_a_zip_that_their_parent_has_open(tmp_path):
    with ZipStore(tmp_path / "a.zarr.zip", mode="w") as zipped:
        store(zipped, img=PIXELS)
    frames = Frames(ZarrFrames(tmp_path / "a.zarr.zip"))
    assert frames[0].shape == (3, 8, 10)
    batches = torch.cat(list(DataLoader(frames, 2, num_workers=2)))
    assert torch.equal(batches, torch.from_numpy(PIXELS).permute(0, 3, 1, 2))


def test_a_damaged_chunk_is_damaged_frames(tmp_path):
    store(str(tmp_path / "a.zarr"), img=PIXELS)
    (tmp_path / "a.zarr" / "data" / "img" / "1.0.0.0").write_bytes(b"")
    frames = ZarrFrames(tmp_path / "a.zarr")
    assert frames.read(3).shape == (3, 8, 10)
    with pytest.raises(DamagedImage, match="decompression"):
        frames.read(4)


def test_values_that_are_not_finite_are_a_damaged_frame(tmp_path):
    values = PIXELS.astype(np.float32)
    values[3, 0, 0, 0] = np.nan
    store(str(tmp_path / "a.zarr"), img=values)
    with pytest.raises(DamagedImage, match="values that are not finite"):
        ZarrFrames(tmp_path / "a.zarr").read(3)


def test_stores_that_hold_no_such_images_are_refused(tmp_path):
    path = tmp_path / "a.zarr"
    with pytest.raises(ValueError, match=r"there is no .*a.zarr; give the folder or the zip file"):
        ZarrFrames(path)
    path.mkdir()
    with pytest.raises(ValueError, match=r"a.zarr is no zarr group"):
        ZarrFrames(path)
    for values, message in (
        (PIXELS[..., 0], r"expected arrays in data/ of shape .* got data/action \(12, 2\), data/img \(12, 8, 10\)"),
        (PIXELS.astype(np.int32), r"expected uint8 or float in \[0, 255\] as data/img .* got int32"),
        (PIXELS / 255, r"expected values in \[0, 255\] as data/img .* got 0 to 1; scale them"),
    ):
        shutil.rmtree(path)
        store(str(path), img=values)
        with pytest.raises(ValueError, match=message):
            ZarrFrames(path)
    store(str(path), img=PIXELS)
    with pytest.raises(ValueError, match=r"expected an array data/wrist of shape .* got .* data/img \(12, 8, 10, 3\)"):
        open_zarr(f"zarr:{path}#wrist")


def test_a_codec_that_is_not_there_is_named_with_its_package(tmp_path, monkeypatch):
    """As in a store of UMI on a machine without imagecodecs."""
    path = tmp_path / "a.zarr"
    store(str(path), img=PIXELS)
    described = path / "data" / "img" / ".zarray"
    text = described.read_text()
    described.write_text(text.replace('"zstd"', '"imagecodecs_jpegxl"').replace('"blosc"', '"imagecodecs_jpegxl"'))
    importing = builtins.__import__

    def without_imagecodecs(name: str, *others):
        if name.startswith("imagecodecs"):
            raise ImportError(name)
        return importing(name, *others)

    monkeypatch.setattr(builtins, "__import__", without_imagecodecs)
    with pytest.raises(ValueError, match=r"codec not available: .*imagecodecs_jpegxl.*pip install imagecodecs"):
        ZarrFrames(Path(path))


@pytest.mark.parametrize("source", ["zarr:", "zarr:a?every=0", "zarr:a?every=x", "zarr:a?each=3", "zarr:a#b#c"])
def test_a_source_of_another_form_is_refused(source):
    with pytest.raises(ValueError, match=r"expected zarr:, hdf5:, video: with a path, or lerobot:"):
        open_zarr(source)


def test_arrays_of_objects_are_refused_unread(tmp_path):
    """Objects are pickles, which run what they like."""
    path = tmp_path / "a.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    root["data/img"] = np.zeros((8, 32, 40, 3), np.uint8)
    root["meta/episode_ends"] = np.array([3, 8])
    meta = json.loads((path / "meta/episode_ends/.zarray").read_text())
    changed = {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 5}], "fill_value": None}
    (path / "meta/episode_ends/.zarray").write_text(json.dumps(meta | changed))
    with pytest.raises(ValueError, match="meta/episode_ends in .* must hold numbers, got"):
        ZarrFrames(path)
