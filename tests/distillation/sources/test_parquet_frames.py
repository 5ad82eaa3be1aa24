import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from distillation.sources.decoding import DamagedImage
from distillation.sources.fingerprint import fingerprint
from distillation.sources.parquet_frames import ParquetFrames
from tests.distillation.conftest import encode

CAMERA = "observation.images.top"
LENGTHS = (5, 4, 3)


def picture(number: int) -> np.ndarray:
    return np.full((6, 8, 3), number, np.uint8)


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Three episodes in two files, the second of which begins within an episode; frame n is grey of level n."""
    frames = [frame for length in LENGTHS for frame in range(length)]
    rows = [
        {CAMERA: encode(picture(number)), "frame_index": frame, "wrist": b"not read"}
        for number, frame in enumerate(frames)
    ]
    for name, part in (("a", rows[:7]), ("b", rows[7:])):
        pq.write_table(pa.Table.from_pylist(part), tmp_path / f"{name}.parquet")
    return [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]


def levels(frames: ParquetFrames) -> list[int]:
    return [int(frames.read(index)[0, 0, 0]) for index in range(len(frames))]


def test_rows_come_in_the_order_of_the_files_as_they_are_stored(files):
    frames = ParquetFrames(files, CAMERA, 1, "pushes")
    assert levels(frames) == list(range(12))
    assert torch.equal(frames.read(7), torch.from_numpy(picture(7)).permute(2, 0, 1))
    assert frames.encoded(7) == encode(picture(7))["bytes"]


def test_a_stride_begins_again_in_each_episode(files):
    frames = ParquetFrames(files, CAMERA, 2, "pushes")
    assert levels(frames) == [0, 2, 4, 5, 7, 9, 11]  # episodes begin at 0, 5, 9
    assert [frames.where(index) for index in (0, 3, 4)] == ["pushes row 0", "pushes row 5", "pushes row 7"]


def test_the_fingerprint_is_that_of_the_frames_which_are_shown(files):
    shown = [encode(picture(level))["bytes"] or b"" for level in (0, 3, 5, 8, 9)]
    assert ParquetFrames(files, CAMERA, 3, "pushes").fingerprint == fingerprint(5, shown.__getitem__)


def test_a_cell_without_a_file_is_a_damaged_frame_and_its_neighbours_are_none(tmp_path):
    cells = [None, {"bytes": None, "path": "frame-000001.png"}, {"bytes": b"text", "path": None}, encode(picture(3))]
    pq.write_table(pa.table({CAMERA: cells, "frame_index": range(4)}), tmp_path / "a.parquet")
    frames = ParquetFrames([str(tmp_path / "a.parquet")], CAMERA, 1, "pushes")
    for index, complaint in enumerate(["no bytes in the table", "no bytes in the table", "not an image"]):
        with pytest.raises(DamagedImage, match=complaint):
            frames.read(index)
    assert frames.read(3).float().mean() == 3
