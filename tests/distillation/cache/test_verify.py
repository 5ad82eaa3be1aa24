from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch

from distillation.cache.store import TargetCache
from distillation.cache.verify import require_exact, verify

CPU = torch.device("cpu")


def test_a_cache_is_verified_against_images_and_teacher(unbuilt, compute, photos, teacher):
    compute(unbuilt)
    verify(unbuilt, photos, [teacher], device=CPU, samples=48)
    verify(unbuilt, photos, None, device=CPU, samples=48)


def test_rounding_to_bfloat16_is_told_from_a_wrong_embedding(unbuilt, compute, photos, teacher):
    compute(unbuilt, precision="bf16")
    verify(unbuilt, photos, [teacher], device=CPU)
    table = pq.read_table(unbuilt.file(1, 2))
    swapped = table["embedding"].take([1, 0, 2, 3]).combine_chunks()
    pq.write_table(table.set_column(table.column_names.index("embedding"), "embedding", swapped), unbuilt.file(1, 2))
    told = r"view 1 of image 20 \(.*train.parquet row 20\): the embedding .* of its norm away"
    with pytest.raises(ValueError, match=told):
        verify(TargetCache.open(unbuilt.folder), photos, [teacher], device=CPU, samples=48)


def test_views_of_other_parameters_are_told_without_a_teacher(unbuilt, compute, photos):
    compute(unbuilt)
    table = pq.read_table(unbuilt.file(0, 1))
    flipped = [not flip for flip in table["flip"].to_pylist()]
    pq.write_table(table.set_column(table.column_names.index("flip"), "flip", [flipped]), unbuilt.file(0, 1))
    with pytest.raises(ValueError, match=r"view 0 of image 10 .* was View\(.*, is View\("):
        verify(unbuilt, photos, None, device=CPU, samples=48)


def test_a_precision_too_coarse_for_a_teacher_is_told_before_anything_is_computed(
    unbuilt, photos, teacher, monkeypatch
):
    coarse = replace(unbuilt.facts, precision="bf16")
    require_exact(coarse, photos, [teacher], device=CPU)
    monkeypatch.setattr("distillation.cache.verify.TOLERANCE", 1e-4)
    with pytest.raises(ValueError, match=r"in bf16 .* embeds image 0 .* from float32, more than 0.0001; --mixed-prec"):
        require_exact(coarse, photos, [teacher], device=CPU)
    require_exact(replace(coarse, precision="no"), photos, [teacher], device=CPU)
