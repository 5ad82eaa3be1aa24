import io
import os
import pickle
import re
import tarfile
from multiprocessing import get_context

import pytest
import torch

from distillation.sources import tars
from distillation.sources.decoding import decode
from distillation.sources.tars import TarImages


def write_tar(path, members, compressed=False, tar_format=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w:gz" if compressed else "w", format=tar_format) as archive:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return str(path)


@pytest.fixture
def shards(tmp_path, files):
    """The files in two tars, as webdataset writes them: beside each image a file of another kind."""
    members = [item for name, data in files.items() for item in ((name, data), (name + ".json", b'{"label": 3}'))]
    halves = dict(members[:8]), dict(members[8:])
    return [write_tar(tmp_path / f"{number}.tar", half) for number, half in enumerate(halves)]


def test_members_that_are_images_are_read_in_their_order(shards, files):
    images = TarImages(shards)
    assert len(images) == len(files)
    for i, (name, data) in enumerate(files.items()):
        assert torch.equal(images.read(i), decode(data))
        assert images.where(i) == f"{shards[i >= 4]} member {name}"
    assert images.shards is None


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_members_that_are_no_images_are_understood(tar_format, tmp_path, files):
    image = files["dark/b.png"]
    long = f"{'deep/' * 25}image.png"
    path = tmp_path / "0.tar"
    write_tar(path, {long: image, "notes.txt": b"text", "._image.png": b"of another system"}, tar_format=tar_format)
    with tarfile.open(path, "a") as archive:
        folder, link = tarfile.TarInfo("folder.png"), tarfile.TarInfo("link.png")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, long
        archive.addfile(folder)
        archive.addfile(link)
    images = TarImages([str(path)])
    assert len(images) == 1
    assert images.where(0) == f"{path} member {long}"
    assert torch.equal(images.read(0), decode(image))


def test_many_tars_are_read_with_few_open_files(tmp_path, files, monkeypatch):
    monkeypatch.setattr(tars, "OPEN_FILES", 2)
    paths = [write_tar(tmp_path / f"{i}.tar", {name: data}) for i, (name, data) in enumerate(files.items())]
    images = TarImages(paths)
    before = len(os.listdir("/dev/fd"))
    for _ in range(2):
        for i, data in enumerate(files.values()):
            assert images.encoded(i) == data
    assert len(os.listdir("/dev/fd")) == before + 2
    del images
    assert len(os.listdir("/dev/fd")) == before


def read_from_the_end(images, results):
    results.put([images.encoded(i) for i in reversed(range(len(images)))])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_processes_read_at_the_same_time(shards, files):
    images = TarImages(shards)
    assert images.encoded(0) == files["bright/a.JPEG"]  # with files open before the fork
    context = get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=read_from_the_end, args=(images, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [images.encoded(i) for i in range(len(images))]
    others = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert found == list(files.values())
    assert others == [found[::-1], found[::-1]]


def test_a_spawned_process_gets_the_index_and_opens_the_files_itself(shards, files):
    images = TarImages(shards)
    images.read(0)
    copy = pickle.loads(pickle.dumps(images))
    assert (images.handles.keys(), copy.handles) == ({0}, {})
    assert [copy.encoded(i) for i in range(len(copy))] == list(files.values())


@pytest.mark.parametrize("keep", [100, 3000])
def test_a_truncated_tar_is_refused_by_name(keep, shards):
    with open(shards[1], "r+b") as file:
        file.truncate(keep)
    with pytest.raises(ValueError, match=re.escape(f"{shards[1]} is no whole, uncompressed tar file")):
        TarImages(shards)


def test_a_tar_with_a_damaged_header_between_members_is_refused_with_its_place(shards):
    with tarfile.open(shards[0]) as archive:
        place = archive.getmembers()[4].offset
    with open(shards[0], "r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 512)
    with pytest.raises(ValueError, match=f"is damaged at byte {place}, where a member should begin"):
        TarImages(shards)


def test_a_compressed_tar_is_refused(tmp_path, files):
    path = write_tar(tmp_path / "0.tar", files, compressed=True)
    with pytest.raises(ValueError, match="no whole, uncompressed tar file .*; unpack it, or fetch it again"):
        TarImages([path])


def test_a_tar_without_images_is_refused(tmp_path):
    path = write_tar(tmp_path / "0.tar", {"a.txt": b"text"})
    with pytest.raises(ValueError, match=f"no image among the members of {path}"):
        TarImages([path])
