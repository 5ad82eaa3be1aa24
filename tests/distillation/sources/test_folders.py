import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from distillation.sources.decoding import DamagedImage, decode
from distillation.sources.folders import FolderImages


@pytest.fixture
def folder(tmp_path, files):
    """The files in two sub-folders, with others beside them that are no images."""
    root = tmp_path / "images"
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "README.md").write_text("no image")
    (root / "dark" / "._a.JPEG").write_text("of another file system")
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "a.JPEG").write_bytes(b"small")
    return root


def test_images_at_any_depth_are_read_in_the_order_of_their_names(folder, files):
    images = FolderImages([str(folder)])
    assert [images.where(i) for i in range(len(images))] == [str(folder / name) for name in files]
    for i, data in enumerate(files.values()):
        assert torch.equal(images.read(i), decode(data))
    assert images.shards is None


def test_several_folders_and_single_files_follow_each_other(folder, files):
    images = FolderImages([str(folder / "dark"), str(folder / "bright" / "b.png")])
    assert len(images) == 6
    assert images.where(5) == str(folder / "bright" / "b.png")
    assert torch.equal(images.read(5), decode(files["bright/b.png"]))


def test_the_fingerprint_follows_the_bytes_and_not_the_place(folder):
    before = FolderImages([str(folder)]).fingerprint
    assert FolderImages([str(folder.rename(folder.with_name("moved")))]).fingerprint == before
    moved = folder.with_name("moved")
    (moved / "dark" / "b.png").write_bytes((moved / "dark" / "c.webp").read_bytes())
    assert FolderImages([str(moved)]).fingerprint != before


def test_a_folder_given_relative_to_another_working_directory_is_read(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    images = FolderImages(["dark"])
    monkeypatch.chdir(tmp_path)
    assert images.read(0).shape[0] == 3


def test_labels_are_the_sorted_names_of_the_sub_folders(folder, files):
    (folder / "dark" / "deep").mkdir()
    (folder / "dark" / "deep" / "z.png").write_bytes(files["dark/b.png"])
    labels, names = FolderImages([str(folder)]).labels()
    assert names == ("bright", "dark")
    assert labels.tolist() == [0] * 5 + [1] * 6
    assert labels.dtype == np.int64


def test_an_image_outside_the_sub_folders_has_no_label(folder, files):
    (folder / "stray.png").write_bytes(files["dark/b.png"])
    message = f"expected {folder}/<class>/<image>, got {folder}/stray.png"
    with pytest.raises(ValueError, match=re.escape(message)):
        FolderImages([str(folder)]).labels()


def test_a_folder_without_images_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"no image in .*, which holds 1 .txt; files with .jpg, .*are read"):
        FolderImages([str(tmp_path)])


def test_a_folder_whose_sub_folders_hold_parquet_files_is_refused_with_their_place(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").touch()
    with pytest.raises(ValueError, match=re.escape(f"such as {tmp_path / 'data'}")):
        FolderImages([str(tmp_path)])


def test_a_link_that_leads_back_is_not_followed_and_one_that_leads_nowhere_is_damaged(folder, files):
    (folder / "dark" / "up").symlink_to(folder)
    (folder / "dark" / "z.png").symlink_to(folder / "nothing.png")
    images = FolderImages([str(folder)])
    assert len(images) == len(files) + 1
    with pytest.raises(DamagedImage, match="no such file"):
        images.read(len(files))


def test_a_file_that_cannot_be_read_is_damaged(folder):
    images = FolderImages([str(folder)])
    first = Path(images.where(0))
    first.unlink()
    first.mkdir()  # even root cannot read it
    with pytest.raises(DamagedImage, match="not readable: Is a directory"):
        images.read(0)


def test_a_link_to_a_folder_elsewhere_is_followed(folder, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "dark").symlink_to(folder / "dark")
    assert len(FolderImages([str(tmp_path / "linked")])) == 5


def test_names_of_any_bytes_and_worker_processes_are_served(folder, files):
    odd = folder / "dark" / "Ä\udcff 像.png"  # not valid UTF-8
    odd.write_bytes(files["dark/b.png"])
    images = pickle.loads(pickle.dumps(FolderImages([str(folder)])))
    places = [images.where(i) for i in range(len(images))]
    assert torch.equal(images.read(places.index(str(odd))), decode(files["dark/b.png"]))
