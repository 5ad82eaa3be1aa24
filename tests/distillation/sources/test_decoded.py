import pickle
from pathlib import PurePath

import numpy as np
import pytest
import torch

from distillation.sources.decoded import CHUNK, INDEX, PIXELS, find_decoded, keep_decoded
from distillation.sources.decoding import DamagedImage
from distillation.sources.folders import FolderImages


@pytest.fixture
def images(tmp_path, files):
    """Good images of many kinds, and one that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, (name, data) in enumerate(files.items()):
        (folder / f"{number}{PurePath(name).suffix}").write_bytes(data)
    (folder / "damaged.jpg").write_bytes(b"no image")
    return FolderImages([str(folder)])


class Interrupted(Exception):  # noqa: N818
    pass


class Numbered:
    """Images that can be told apart, of which one interrupts the reading once."""

    shards = None
    fingerprint = "numbered"

    def __init__(self, count, interrupting=None):
        self.count = count
        self.interrupting = interrupting
        self.read_since = []

    def __len__(self):
        return self.count

    def read(self, index):
        if index == self.interrupting:
            raise Interrupted
        self.read_since.append(index)
        return torch.from_numpy(np.random.default_rng(index).integers(0, 256, (3, 2 + index % 3, 5), np.uint8))

    def where(self, index):
        return f"number {index}"


@pytest.mark.parametrize("workers", [0, 2])
def test_kept_pixels_are_those_that_decoding_gives(images, tmp_path, workers):
    kept = keep_decoded(images, tmp_path / "kept", workers)
    assert (len(kept), kept.fingerprint, kept.shards) == (len(images), images.fingerprint, images.shards)
    damaged = []
    for index in range(len(images)):
        assert kept.where(index) == images.where(index)
        try:
            pixels = images.read(index)
        except DamagedImage:
            damaged.append(index)
            with pytest.raises(DamagedImage):
                kept.read(index)
        else:
            assert torch.equal(kept.read(index), pixels)
    assert [images.where(index) for index in damaged] == [str(tmp_path / "photos" / "damaged.jpg")]


def test_they_are_decoded_once_and_taken_from_the_file_then(tmp_path):
    first = Numbered(10)
    keep_decoded(first, tmp_path, workers=0)
    assert first.read_since == list(range(10))
    again = Numbered(10)
    kept = pickle.loads(pickle.dumps(keep_decoded(again, tmp_path, workers=0)))  # as workers get it
    assert torch.equal(kept.read(7), first.read(7))
    assert again.read_since == []


def test_what_was_interrupted_goes_on_where_it_stopped_and_ends_as_an_undisturbed_one(tmp_path):
    count = 3 * CHUNK + 5
    with pytest.raises(Interrupted):
        keep_decoded(Numbered(count, interrupting=2 * CHUNK + 1), tmp_path / "stopped", workers=0)
    folder = tmp_path / "stopped" / Numbered.fingerprint
    with (folder / PIXELS).open("ab") as pixels:
        pixels.write(b"what a crash left behind")
    with (folder / f"{INDEX}.partial").open("ab") as index:
        index.write(b"half a row")
    images = Numbered(count)
    assert find_decoded(images, tmp_path / "stopped") is images  # not whole
    rest = Numbered(count)
    kept = keep_decoded(rest, tmp_path / "stopped", workers=0)
    assert rest.read_since == list(range(2 * CHUNK, count))
    keep_decoded(Numbered(count), tmp_path / "whole", workers=0)
    for name in (PIXELS, INDEX):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / Numbered.fingerprint / name).read_bytes()
    assert torch.equal(kept.read(count - 1), rest.read(count - 1))


@pytest.mark.parametrize("lost", [PIXELS, INDEX])
def test_a_folder_that_lost_something_is_refused(tmp_path, lost):
    keep_decoded(Numbered(10), tmp_path, workers=0)
    path = tmp_path / Numbered.fingerprint / lost
    path.write_bytes(path.read_bytes()[:-24])
    with pytest.raises(ValueError, match="decoded: expected 10 images in .* delete it"):
        keep_decoded(Numbered(10), tmp_path, workers=0)


def test_pixels_that_were_deleted_before_the_end_are_decoded_again(tmp_path):
    with pytest.raises(Interrupted):
        keep_decoded(Numbered(3 * CHUNK, interrupting=2 * CHUNK), tmp_path, workers=0)
    (tmp_path / Numbered.fingerprint / PIXELS).unlink()
    images = Numbered(3 * CHUNK)
    assert torch.equal(keep_decoded(images, tmp_path, workers=0).read(0), images.read(0))


def test_of_shards_at_urls_none_is_fetched_for_an_image_that_cannot_be_decoded(images, tmp_path):
    images.shards = (len(images),)
    kept = keep_decoded(images, tmp_path / "kept", workers=0)
    place = next(index for index in range(len(images)) if images.where(index).endswith("damaged.jpg"))
    with pytest.raises(DamagedImage, match="delete that folder"):
        kept.read(place)
    assert kept.shards == images.shards


def test_an_image_that_was_repaired_since_is_read_again(images, tmp_path, files):
    kept = keep_decoded(images, tmp_path / "kept", workers=0)
    place = next(index for index in range(len(images)) if images.where(index).endswith("damaged.jpg"))
    (tmp_path / "photos" / "damaged.jpg").write_bytes(next(iter(files.values())))
    assert torch.equal(kept.read(place), images.read(place))
