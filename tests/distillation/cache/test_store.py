import os
import re
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from distillation.cache.facts import Facts, TeacherFacts, asked_teacher
from distillation.cache.maps import MAPS_FOLDER
from distillation.cache.shards import PARAMETERS, shard_table, write_shard
from distillation.cache.store import TargetCache
from distillation.views import AUGMENTATIONS, Augmentation, random_view, to_row

IMAGES, WIDTH, SHARD_ROWS, VIEWS = 11, 3, 4, 2  # shards of 4, 4 and 3 rows
DAMAGED = 6
TEACHER = TeacherFacts("vit", "c0ffee" * 6 + "c0ff", "v1", "aaaa", 32, "bicubic", "cls", WIDTH, 5)


def facts(**changes) -> Facts:
    made = {"command": "xdistill targets --seed 7"}
    full = Facts("1234", IMAGES, 7, VIEWS, Augmentation(), (TEACHER,), SHARD_ROWS, None, "bf16", ("photos",), made)
    return replace(full, **changes)


def wanted(**changes) -> Facts:
    """As a run asks: what concerns only the build is left open."""
    return facts(shard_rows=None, precision=None, sources=(), made={}, **changes)


def embedding(view: int, index: int) -> list[float]:
    return [view, index, -0.5]


def write(cache: TargetCache, view: int, shard: int) -> Path:
    rows = list(cache.rows(shard))
    views = [to_row(random_view(7, view, index, (48, 64), Augmentation())) for index in rows]
    write_shard(
        cache.file(view, shard),
        shard_table(
            np.array(rows),
            np.array([index != DAMAGED for index in rows]),
            np.array([list(row.values()) for row in views], np.float64),
            np.array([embedding(view, index) for index in rows], np.float16),
            None if cache.facts.patch_shape is None else np.ones((len(rows), 5 * 2 * 2), np.float16),
        ),
    )
    return cache.file(view, shard)


@pytest.fixture
def whole(tmp_path) -> TargetCache:
    cache = TargetCache.create(tmp_path / "targets", facts())
    for shard in cache.missing():
        write(cache, *shard)
    return cache


def test_rows_of_every_shard_come_back_in_the_order_asked(whole):
    indices = [10, 0, 3, 4, 0]
    for view in range(VIEWS):
        read = TargetCache.open(whole.folder).read(view, torch.tensor(indices))
        assert torch.equal(read, torch.tensor([embedding(view, index) for index in indices]))
        assert read.dtype == torch.float32


def test_reading_a_damaged_image_names_it(whole):
    with pytest.raises(ValueError, match="image 6 could not be read when .* was built"):
        whole.read(0, [5, 6])
    assert whole.stored(1, DAMAGED)[0] is None


def test_the_parameters_of_a_view_come_back_exactly(tmp_path):
    cache = TargetCache.create(tmp_path, facts(images_count=3))
    views = [random_view(7, 0, index, (480, 640), AUGMENTATIONS["strong"]) for index in range(3)]
    parameters = np.array([list(to_row(view).values()) for view in views], np.float64)
    table = shard_table(np.arange(3), np.ones(3, bool), parameters, np.zeros((3, WIDTH), np.float16), None)
    write_shard(cache.file(0, 0), table)
    assert [cache.stored(0, index)[0] for index in range(3)] == views


def test_missing_shards_are_listed_and_refused_with_their_number_and_the_command(tmp_path):
    cache = TargetCache.create(tmp_path, facts())
    for shard in ((0, 0), (0, 2), (1, 1)):
        write(cache, *shard)
    assert cache.missing() == [(0, 1), (1, 0), (1, 2)]
    with pytest.raises(ValueError, match=r"3 of 6 shards are missing in .*computes them: xdistill targets --seed 7"):
        TargetCache.open(tmp_path).read(0, [0])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images_fingerprint": "9999"}, "images_fingerprint was 1234, is 9999"),
        ({"images_count": 12}, "images_count was 11, is 12"),
        ({"seed": 8}, "seed was 7, is 8"),
        ({"views": 3}, "views was 2, is 3"),
        ({"augmentation": Augmentation(min_scale=0.2)}, "augmentation.min_scale was 0.35, is 0.2"),
        ({"teachers": (replace(TEACHER, image_size=64),)}, "teacher vit: image_size was 32, is 64"),
        ({"teachers": (replace(TEACHER, embedding="avg"),)}, "teacher vit: embedding was cls, is avg"),
        ({"teachers": (replace(TEACHER, fingerprint="b"),)}, "teacher vit: fingerprint was aaaa, is b"),
        ({"teachers": (replace(TEACHER, pinned="v2"),)}, "teacher vit: revision was v1, is v2"),
        ({"teachers": (asked_teacher("timm/vit@v2"),)}, "teacher vit: revision was v1, is v2"),
        ({"teachers": (asked_teacher("timm/swin"),)}, "teacher swin: name was vit, is swin"),
        ({"teachers": (asked_teacher("timm/vit", 64, "cls"),)}, "teacher vit: image_size was 32, is 64"),
        ({"teachers": (TEACHER, TEACHER)}, "teachers were vit, are vit, vit"),
    ],
)
def test_a_run_that_asks_for_something_else_is_told_what_was_and_what_is(whole, changes, told):
    with pytest.raises(ValueError, match=re.escape(f"({told})")):
        TargetCache.open(whole.folder).require(wanted(**changes))


@pytest.mark.parametrize(
    "teacher",
    [
        asked_teacher("timm/vit"),
        asked_teacher("timm/vit@v1"),
        asked_teacher("timm/vit@c0ffeec0ffee"),
        asked_teacher("local-dir:/elsewhere/vit"),
        replace(TEACHER, name="a copy of it", revision=None),
        replace(TEACHER, revision="another commit with the same weights"),
    ],
)
def test_the_same_teacher_is_known_by_its_weights_or_without_them_by_its_name(whole, teacher):
    TargetCache.open(whole.folder).require(wanted(teachers=(teacher,), views=None))


def test_a_build_in_the_folder_of_another_is_refused_and_leaves_it_as_it_was(whole):
    for changes, told in (
        ({"precision": "no"}, "precision was bf16, is no"),
        ({"patch_grid": 2}, "patch_grid was None"),
    ):
        with pytest.raises(ValueError, match=told):
            TargetCache.create(whole.folder, facts(**changes))
    assert TargetCache.open(whole.folder).facts == facts()


def test_patch_tokens_come_back_as_a_map_and_only_where_they_were_kept(tmp_path, whole):
    cache = TargetCache.create(tmp_path / "patches", facts(patch_grid=2))
    for shard in cache.missing():
        write(cache, *shard)
    assert torch.equal(cache.read_patches(1, [3, 9]), torch.ones(2, 5, 2, 2))
    with pytest.raises(ValueError, match="--patch-grid"):
        whole.read_patches(0, [0])
    with pytest.raises(ValueError, match="repeat --patch-grid 2"):
        TargetCache.create(cache.folder, facts())


def test_a_shard_that_was_replaced_is_mapped_again(whole):
    assert whole.read(0, [0])[0, 0] == 0
    file = whole.file(0, 0)
    table = pq.read_table(file)
    doubled = shard_table(
        np.arange(SHARD_ROWS),
        np.ones(SHARD_ROWS, bool),
        np.ones((SHARD_ROWS, len(PARAMETERS))),
        np.full((SHARD_ROWS, WIDTH), 42, np.float16),
        None,
    )
    assert doubled.schema == table.schema
    write_shard(file, doubled)
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
        wide = np.zeros((4, WIDTH + 1), np.float16)
        write_shard(file, shard_table(np.arange(4, 8), np.ones(4, bool), np.ones((4, len(PARAMETERS))), wide, None))
    with pytest.raises(ValueError, match=r"view-000/shard-00001.parquet .*delete it"):
        whole.read(0, [0])
    assert not list((whole.folder / MAPS_FOLDER).glob("*view-000*"))


def test_a_cache_that_cannot_be_written_is_mapped_in_the_users_own_folder(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write anywhere
    assert whole.read(1, [4])[0].tolist() == embedding(1, 4)
    assert not (whole.folder / MAPS_FOLDER).exists()
    assert len(list((tmp_path / "own").rglob("*.float16"))) == 1


def test_readers_that_open_a_cache_at_once_all_read_the_same(whole):
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: TargetCache.open(whole.folder).read(0, [0, 5, 10]), range(8)))
    assert all(torch.equal(each, read[0]) for each in read)
    assert len(list((whole.folder / MAPS_FOLDER).glob("view-000-*"))) == 1


def test_a_full_disk_stops_the_build_with_the_shards_before_it_whole(whole):
    table = pq.read_table(whole.file(0, 0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # files end at 100 bytes, as at the end of a disk
    try:
        with pytest.raises(OSError, match=r"shard-00009.parquet could not be written: .*make room and repeat"):
            write_shard(whole.file(0, 9), table)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(file.name for file in whole.file(0, 9).parent.iterdir()) == [
        f"shard-0000{i}.parquet" for i in range(3)
    ]
    assert whole.missing() == []


def test_a_shard_takes_the_part_that_a_killed_process_left_with_it(whole):
    left = whole.file(0, 0).with_name(".shard-00000.parquet.other-123.partial")
    left.touch()
    write(whole, 0, 0)
    assert not left.exists()


def test_a_folder_without_facts_and_facts_of_another_format_are_refused(tmp_path, whole):
    with pytest.raises(ValueError, match="no targets.json in"):
        TargetCache.open(tmp_path)
    with pytest.raises(ValueError, match="no folder"):
        TargetCache.open(tmp_path / "nowhere")
    file = whole.folder / "targets.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match=r"targets.json: format: expected 1, got 2"):
        TargetCache.open(whole.folder)


def test_a_view_that_does_not_exist_is_refused(whole):
    with pytest.raises(ValueError, match="view: expected 0 to 1, got 2"):
        whole.read(2, [0])


def test_shards_are_tables_that_datasets_reads(whole, tmp_path):
    files = [str(whole.file(1, shard)) for shard in range(3)]
    table = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "datasets"))
    assert table["index"][:] == list(range(IMAGES))
    assert table[4]["embedding"] == embedding(1, 4)
    assert table[DAMAGED]["valid"] is False
    assert table[DAMAGED]["top"] is None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc")
def test_memory_stays_flat_while_a_large_cache_is_read(tmp_path):
    rows, width = 8192, 1024
    cache = TargetCache.create(
        tmp_path, facts(images_count=rows, views=1, shard_rows=rows, teachers=(replace(TEACHER, width=width),))
    )
    numbers = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float16)  # 16 MB
    parameters = np.ones((rows, len(PARAMETERS)))
    write_shard(cache.file(0, 0), shard_table(np.arange(rows), np.ones(rows, bool), parameters, numbers, None))
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
