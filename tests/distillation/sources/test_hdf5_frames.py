import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from distillation.datasets import open_images
from distillation.sources.decoding import DamagedImage
from distillation.sources.hdf5_frames import Hdf5Frames, open_hdf5

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 8, 10, 3), dtype=np.uint8)


@pytest.fixture
def robomimic(tmp_path):
    """demo_2 with frames 0 to 4, then demo_10 with 5 to 11; a wrist camera shows them upside down."""
    with h5py.File(tmp_path / "demos.hdf5", "w") as file:
        for name, rows in (("demo_10", slice(5, 12)), ("demo_2", slice(0, 5))):
            observations = file.create_group(f"data/{name}/obs")
            observations["front"] = PIXELS[rows]
            observations["wrist"] = PIXELS[rows][:, ::-1]
            observations["joints"] = np.zeros((PIXELS[rows].shape[0], 4))
            file[f"data/{name}/next_obs/front"] = np.roll(PIXELS[rows], -1, axis=0)  # which robomimic writes too
    return tmp_path / "demos.hdf5"


def channels_first(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frame.transpose(2, 0, 1).copy())


def test_frames_of_a_camera_come_episode_by_episode_in_the_order_of_their_numbers(robomimic):
    frames = open_hdf5(f"hdf5:{robomimic}#front")
    assert len(frames) == 12
    assert all(torch.equal(frames.read(index), channels_first(PIXELS[index])) for index in range(12))
    assert frames.where(5) == f"{robomimic} data/demo_10/obs/front frame 0"
    assert len(open_hdf5(f"hdf5:{robomimic}")) == 24


def test_a_stride_starts_again_in_every_episode(robomimic):
    frames = open_hdf5(f"hdf5:{robomimic}#front?every=3")
    expected = [0, 3, 5, 8, 11]
    assert len(frames) == len(expected)
    assert all(torch.equal(frames.read(i), channels_first(PIXELS[index])) for i, index in enumerate(expected))


def test_a_folder_of_episodes_channels_first_is_one_collection(tmp_path):
    for number in range(2):
        with h5py.File(tmp_path / f"episode_{number}.hdf5", "w") as file:
            file["observations/images/top"] = PIXELS[12 * number : 12 * number + 12].transpose(0, 3, 1, 2)
    frames = open_images([f"hdf5:{tmp_path}#top"])
    assert len(frames) == 24
    assert torch.equal(frames.read(17), channels_first(PIXELS[17]))


class Frames(Dataset):
    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        return self.frames.read(index)


def test_workers_read_the_same_frames(robomimic):
    frames = open_hdf5(f"hdf5:{robomimic}#front")
    frames.read(0)  # the file is open before the fork
    batches = DataLoader(Frames(frames), batch_size=4, num_workers=2)
    assert torch.equal(torch.cat(list(batches)), torch.stack([channels_first(frame) for frame in PIXELS[:12]]))


def test_the_fingerprint_is_of_the_frames_wherever_they_lie(robomimic, tmp_path):
    moved = tmp_path / "elsewhere.h5"
    moved.write_bytes(robomimic.read_bytes())
    front = open_hdf5(f"hdf5:{robomimic}#front").fingerprint
    assert front == open_hdf5(f"hdf5:{moved}#front").fingerprint
    assert front != open_hdf5(f"hdf5:{robomimic}#wrist").fingerprint


def test_what_is_not_there_is_told(robomimic, tmp_path):
    with pytest.raises(ValueError, match=r"expected a camera 'top' in .*, got front, wrist"):
        open_hdf5(f"hdf5:{robomimic}#top")
    with pytest.raises(ValueError, match=r"there is no .*nowhere.hdf5"):
        open_hdf5(f"hdf5:{tmp_path}/nowhere.hdf5")
    (tmp_path / "text.hdf5").write_text("no HDF5")
    with pytest.raises(ValueError, match=r"text.hdf5 is no HDF5 file that can be read"):
        open_hdf5(f"hdf5:{tmp_path}/text.hdf5")


def test_a_file_that_was_cut_after_it_was_opened_gives_a_damaged_image(robomimic):
    frames = open_hdf5(f"hdf5:{robomimic}#front")
    robomimic.write_bytes(b"")
    with pytest.raises(DamagedImage):
        frames.read(0)


def test_images_that_lie_in_another_file_are_refused(tmp_path):
    """HDF5 would read any file of this machine as images."""
    (tmp_path / "secret").write_bytes(bytes(3000))
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        outside = [(str(tmp_path / "secret"), 0, 3000)]
        file.create_dataset("data/demo_0/obs/front", (10, 10, 10, 3), np.uint8, external=outside)
    with pytest.raises(ValueError, match="data/demo_0/obs/front in .* takes its bytes from other files"):
        Hdf5Frames(tmp_path / "a.hdf5")
