"""Small teacher caches: one of numbers that say where they lie, one that a teacher of real architecture computes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distillation.cache.build import build_cache
from distillation.cache.facts import Facts, TeacherFacts, describe_teacher
from distillation.cache.shards import shard_table, write_shard
from distillation.cache.store import TargetCache
from distillation.datasets import Images, open_images
from distillation.interrupts import StopRequest
from distillation.sources.damage import DamageLog
from distillation.teachers import Teacher, load_teacher
from distillation.views import Augmentation, random_view, to_row
from tests.xdistill_encoder.hub_server import serving

DAMAGED = 6


@pytest.fixture(scope="session")
def cache_facts():
    """(**changes) -> facts of two views of 11 images: shards of 4, 4 and 3 rows of 3 numbers, 5 a patch."""
    teacher = TeacherFacts("vit", "c0ffee" * 6 + "c0ff", "v1", "aaaa", 32, "bicubic", "cls", 3, 5)
    made = {"command": "xdistill targets --seed 7"}
    facts = Facts("1234", 11, 7, 2, Augmentation(), (teacher,), 4, None, "bf16", ("photos",), made)
    return lambda **changes: replace(facts, **changes)


@pytest.fixture(scope="session")
def write_rows():
    """(cache, view, shard) -> the shard's file: image i of view v has the embedding [v, i, -0.5]; 6 is damaged."""

    def write(cache: TargetCache, view: int, shard: int) -> Path:
        rows = list(cache.rows(shard))
        views = [to_row(random_view(7, view, index, (48, 64), Augmentation())) for index in rows]
        write_shard(
            cache.file(view, shard),
            shard_table(
                np.array(rows),
                np.array([index != DAMAGED for index in rows]),
                np.array([list(row.values()) for row in views], np.float64),
                np.array([[view, index, -0.5] for index in rows], np.float16),
                None if cache.facts.patch_shape is None else np.ones((len(rows), 5 * 2 * 2), np.float16),
            ),
        )
        return cache.file(view, shard)

    return write


@pytest.fixture
def whole(tmp_path: Path, cache_facts, write_rows) -> TargetCache:
    """All shards of `cache_facts()`, as `write_rows` fills them."""
    cache = TargetCache.create(tmp_path / "targets", cache_facts())
    for shard in cache.missing():
        write_rows(cache, *shard)
    return cache


@pytest.fixture(scope="session")
def photos(parquet: str) -> Images:
    """The 24 images of `parquet`."""
    return open_images((parquet,))


@pytest.fixture(scope="session")
def teacher(teacher_spec: str) -> Teacher:
    """That of `teacher_spec`, for images of 32 px."""
    return load_teacher(teacher_spec)


@pytest.fixture
def unbuilt(tmp_path: Path, photos: Images, teacher: Teacher) -> TargetCache:
    """Two views of the 24 photos in shards of 10, 10 and 4 rows, none of them computed."""
    seen = (describe_teacher(teacher),)
    facts = Facts(photos.fingerprint, len(photos), 3, 2, Augmentation(), seen, shard_rows=10, precision="no")
    return TargetCache.create(tmp_path / "photos", facts)


@pytest.fixture
def compute(photos: Images, teacher: Teacher):
    """(cache, shards or None for all, ...) -> whether they are there, computed in batches of 4 on the CPU."""

    def compute_shards(cache: TargetCache, shards=None, precision: str = "no", by: Teacher = teacher) -> bool:
        cpu, damage = torch.device("cpu"), DamageLog(cache.folder / "damaged.txt", photos, 0)
        wanted = cache.shards() if shards is None else shards
        with StopRequest() as stop:
            return build_cache(
                cache, photos, [by], wanted, cpu, precision, batch_size=4, workers=0, stop=stop, damage=damage
            )

    return compute_shards


@pytest.fixture
def hub():
    """A Hub that answers at HF_ENDPOINT until the test ends or calls stop()."""
    with serving() as server:
        yield server
