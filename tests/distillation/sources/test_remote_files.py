import pickle

import fsspec
import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image
from torch.utils.data import DataLoader

from distillation.datasets import Views, open_images
from distillation.sources.decoding import DamagedImage
from distillation.sources.folders import FolderImages
from distillation.sources.remote_files import RemoteFiles
from distillation.sources.retrying import Patience
from distillation.views import AUGMENTATIONS

QUICK = Patience(attempts=2, first_wait_s=0.01)


@pytest.fixture
def folder(tmp_path):
    """Six small pictures in two sub-folders, and a file that is none."""
    rng = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


def test_a_folder_at_a_url_holds_what_its_local_copy_holds(folder, tmp_path):
    local, remote = FolderImages([str(folder)]), open_images([f"file://{folder}"], shard_cache=tmp_path / "cache")
    assert isinstance(remote, RemoteFiles)
    assert [remote.where(index) for index in range(6)] == [f"file://{local.where(index)}" for index in range(6)]
    assert all(torch.equal(remote.read(index), local.read(index)) for index in range(6))
    assert remote.fingerprint == local.fingerprint


def test_a_glob_or_a_single_image_is_read_too(folder, tmp_path):
    cache = tmp_path / "cache"
    assert len(open_images([f"file://{folder}/a/*.png"], shard_cache=cache)) == 3
    assert len(open_images([f"file://{folder}/a/0.png"], shard_cache=cache)) == 1


def test_worker_processes_read_them(folder, tmp_path):
    images = open_images([f"file://{folder}"], shard_cache=tmp_path / "cache")
    views = Views(images, 0, AUGMENTATIONS["paper"])
    keys = [[(0, 0, 32), (5, 0, 32)], [(3, 0, 32), (2, 0, 32)]]
    batches = [batch["student"] for batch in DataLoader(views, batch_sampler=keys, num_workers=2)]
    expected = [torch.stack([views[key]["student"] for key in batch]) for batch in keys]
    assert all(torch.equal(got, wanted) for got, wanted in zip(batches, expected, strict=True))
    assert len(pickle.dumps(images)) < 4000


def test_an_image_that_has_gone_is_damaged_and_one_that_the_storage_refuses_is_an_error(monkeypatch):
    fsspec.filesystem("memory").pipe_file("/pictures/0.png", b"not a picture")
    images = RemoteFiles(["memory://pictures/0.png", "memory://pictures/1.png"], QUICK)
    for index, message in enumerate(["not an image", "no such file"]):
        with pytest.raises(DamagedImage, match=message):
            images.read(index)

    def refuse(*_, **__):
        raise ConnectionResetError("the network is gone")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refuse)
    with pytest.raises(OSError, match="reading memory://pictures/0.png failed 2 times, at last with: the network is"):
        images.read(0)
