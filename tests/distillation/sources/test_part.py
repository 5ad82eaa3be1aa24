import pickle

import pytest
import torch
from PIL import Image

from distillation.datasets import open_images
from distillation.sources.part import PartOfImages


@pytest.fixture
def images(parquet):
    return open_images([parquet])


def test_a_part_has_the_images_of_its_numbers_in_their_order(images):
    part = PartOfImages(images, [7, 2, 2, 23])
    assert len(part) == 4
    for index, number in enumerate((7, 2, 2, 23)):
        assert torch.equal(part.read(index), images.read(number))
        assert part.where(index) == images.where(number)


def test_its_fingerprint_tells_other_numbers_and_other_images(images, tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 40), "red").save(tmp_path / name)
    others = open_images([str(tmp_path)])
    found = {PartOfImages(*each).fingerprint for each in ((images, [0, 1]), (images, [1, 0]), (others, [0, 1]))}
    assert len(found) == 3
    assert PartOfImages(images, [0, 1]).fingerprint in found


def test_a_part_goes_into_worker_processes(images):
    part = pickle.loads(pickle.dumps(PartOfImages(images, range(3, 9))))
    assert torch.equal(part.read(0), images.read(3))
