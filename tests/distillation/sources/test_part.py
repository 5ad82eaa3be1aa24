import pickle
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from distillation.datasets import open_images, prefetching
from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.decoding import decode
from distillation.sources.part import PartOfImages
from distillation.sources.remote import open_urls


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


def test_a_part_of_remote_images_is_read_and_fetched_shard_by_shard(tmp_path, files, images):
    data = [*files.values()]
    for name, rows in {"a": data[:4], "b": data[4:7], "c": data[7:]}.items():
        cells = [{"bytes": one, "path": None} for one in rows]
        pq.write_table(pa.table({"image": cells}), tmp_path / f"{name}.parquet")
    (remote,) = open_urls([f"file://{tmp_path}/{name}.parquet" for name in "abc"], tmp_path / "cache")
    part = PartOfImages(remote, [0, 3, 8, 9])
    assert part.shards == (2, 0, 2)
    assert PartOfImages(remote, [3, 0]).shards is None  # in no order of shards
    assert PartOfImages(images, [0, 3]).shards is None  # at hand

    mixed = ConcatenatedImages([images, part])
    assert mixed.shards == (24, 2, 0, 2)
    prefetch = prefetching(mixed)
    assert prefetch is not None
    prefetch(np.array([5, 27]))  # the last of the part, in the shard c
    deadline = time.monotonic() + 20
    while not list((tmp_path / "cache").glob("*.arrow")) and time.monotonic() < deadline:
        time.sleep(0.01)
    (tmp_path / "c.parquet").unlink()
    assert torch.equal(mixed.read(27), decode(data[9]))
    assert torch.equal(mixed.read(26), decode(data[8]))
