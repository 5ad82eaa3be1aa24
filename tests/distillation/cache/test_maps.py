import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distillation.cache.maps import MAPS_FOLDER
from distillation.cache.shards import PARAMETERS, shard_table, write_shard
from distillation.cache.store import TargetCache


def plain_table(rows: range, embeddings: np.ndarray):
    return shard_table(
        np.array(rows), np.ones(len(rows), bool), np.ones((len(rows), len(PARAMETERS))), embeddings, None
    )


def test_a_shard_that_was_replaced_is_mapped_again(whole):
    assert whole.read(0, [0])[0, 0] == 0
    file = whole.file(0, 0)
    write_shard(file, plain_table(range(4), np.full((4, 3), 42, np.float16)))
    os.utime(file, ns=(0, time.time_ns() + 10**9))
    assert TargetCache.open(whole.folder).read(0, [0])[0, 0] == 42
    assert len(list((whole.folder / MAPS_FOLDER).glob("view-000-*"))) == 1  # the stale map is gone


@pytest.mark.parametrize("damage", ["truncated", "of another shard", "of another width"])
def test_a_damaged_shard_is_named_and_nothing_is_mapped(whole, damage):
    file = whole.file(0, 1)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-20])
    elif damage == "of another shard":
        file.write_bytes(whole.file(0, 0).read_bytes())
    else:
        write_shard(file, plain_table(range(4, 8), np.zeros((4, 4), np.float16)))
    with pytest.raises(ValueError, match=r"view-000/shard-00001.parquet .*delete it"):
        whole.read(0, [0])
    assert not list((whole.folder / MAPS_FOLDER).glob("*view-000*"))


def test_a_cache_that_cannot_be_written_is_mapped_in_the_users_own_folder(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    assert whole.read(1, [4])[0].tolist() == [1, 4, -0.5]
    assert not (whole.folder / MAPS_FOLDER).exists()
    assert len(list((tmp_path / "own").rglob("*.float16"))) == 1


def test_readers_that_open_a_cache_at_once_all_read_the_same(whole):
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: TargetCache.open(whole.folder).read(0, [0, 5, 10]), range(8)))
    assert all(torch.equal(each, read[0]) for each in read)
    assert len(list((whole.folder / MAPS_FOLDER).glob("view-000-*"))) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc")
def test_memory_stays_flat_while_a_large_cache_is_read(tmp_path, cache_facts):
    rows, width = 8192, 1024
    (teacher,) = cache_facts().teachers
    facts = cache_facts(images_count=rows, views=1, shard_rows=rows, teachers=(replace(teacher, width=width),))
    cache = TargetCache.create(tmp_path, facts)
    numbers = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float16)  # 16 MB
    write_shard(cache.file(0, 0), plain_table(range(rows), numbers))
    cache.map()
    before = mapped_bytes()
    for first in range(0, rows, 512):
        batch = cache.read(0, np.arange(first, first + 512))
        assert torch.equal(batch, torch.from_numpy(numbers[first : first + 512]).float())
    assert mapped_bytes() - before < numbers.nbytes / 8


def mapped_bytes() -> int:
    """Pages of files in this process' memory."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("RssFile:")[2].split()[0])
