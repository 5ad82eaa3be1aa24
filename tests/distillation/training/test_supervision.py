from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from distillation import targets
from distillation.cache.store import TargetCache
from distillation.datasets import open_images
from distillation.training.supervision import CachedTeachers

CPU = torch.device("cpu")


@pytest.fixture
def cache(tmp_path: Path, parquet: str, teacher_spec: str) -> TargetCache:
    """One view of the 24 images in shards of 10, 10 and 4 rows."""
    return targets.build(
        targets.Config(
            teacher=(teacher_spec,),
            teacher_image_size=None,
            images=(parquet,),
            output=tmp_path / "targets",
            views_per_image=1,
            shard_rows=10,
            batch_size=8,
            workers=0,
            mixed_precision="no",
        )
    )


def test_views_of_other_images_are_told_where_no_teacher_is_loaded(cache, parquet):
    file = cache.file(0, 1)
    table = pq.read_table(file)
    flipped = [not flip for flip in table["flip"].to_pylist()]
    pq.write_table(table.set_column(table.column_names.index("flip"), "flip", [flipped]), file)
    with pytest.raises(ValueError, match=r"view 0 of image 1\d .* was View\(.*, is View\("):
        CachedTeachers.open(str(cache.folder), cache.facts, open_images([parquet]), [], 0, CPU, maps=False)


def test_a_measured_cache_gives_embeddings_and_writes_nothing(cache, parquet):
    before = sorted(cache.folder.rglob("*"))
    place, images = str(cache.folder), open_images([parquet])
    measured = CachedTeachers.open(place, cache.facts, images, [], 0, CPU, maps=False, measured=True)
    embeddings, _ = measured({"index": torch.tensor([3, 23])}, 0)
    assert embeddings.shape == (2, 192)
    assert sorted(cache.folder.rglob("*")) == before


def test_an_image_that_was_damaged_when_its_embedding_was_computed_is_told_before_training(cache, parquet):
    file = cache.file(0, 1)
    table = pq.read_table(file)
    valid = [index != 13 for index in table["index"].to_pylist()]
    pq.write_table(table.set_column(table.column_names.index("valid"), "valid", [valid]), file)
    with pytest.raises(
        ValueError, match="targets: 1 images could not be read when .* and can be now, the first of them"
    ):
        CachedTeachers.open(str(cache.folder), cache.facts, open_images([parquet]), [], 0, CPU, maps=False)
