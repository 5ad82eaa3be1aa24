import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from distillation.datasets import Views, load_table
from distillation.targets import TargetCache, build
from distillation.teachers import load_teacher


def test_embeddings_come_back_as_written_and_the_rest_is_missing(tmp_path):
    cache = TargetCache(tmp_path, (2, 5, 3), {"teacher": "a"})
    values = torch.tensor([[1.0, 2.0, 3.0], [-0.5, 0.25, 8.0]])
    cache.write(1, torch.tensor([4, 2]), values)
    reopened = TargetCache(tmp_path, (2, 5, 3), {"teacher": "a"})
    assert torch.equal(reopened.read(1, torch.tensor([4, 2])), values)
    assert reopened.missing(1).tolist() == [0, 1, 3]
    assert reopened.missing(0).tolist() == [0, 1, 2, 3, 4]


def test_a_folder_with_other_embeddings_is_refused_with_what_differs(tmp_path):
    TargetCache(tmp_path, (2, 5, 3), {"teacher": "a", "seed": 0})
    with pytest.raises(ValueError, match="teacher is 'a', wanted 'b'; give another folder"):
        TargetCache(tmp_path, (2, 5, 3), {"teacher": "b", "seed": 0})
    with pytest.raises(ValueError, match=r"shape is \[2, 5, 3\], wanted \[1, 5, 3\]"):
        TargetCache(tmp_path, (1, 5, 3), {"teacher": "a", "seed": 0})


def test_an_interrupted_build_goes_on_and_holds_the_teachers_embedding_of_each_view(tmp_path, parquet, teacher_spec):
    table, teacher = load_table([parquet]), load_teacher(teacher_spec)
    cache = TargetCache(tmp_path, (2, len(table), teacher.num_features), {})
    embedded = []

    def views(rows: np.ndarray, view: int) -> Views:
        return Views(table, rows, 0, view, 0.35, {"teacher": teacher.image_size})

    def build_until(batches: int) -> bool:
        return build(
            cache,
            views,
            teacher,
            batch_size=8,
            workers=0,
            advance=embedded.append,
            stop=lambda: len(embedded) == batches,
        )

    assert not build_until(2)
    assert build_until(-1)
    assert sum(embedded) == 2 * len(table)  # nothing was computed twice
    (item,) = DataLoader(views(np.array([7]), 1))
    expected = teacher(item["teacher"])
    torch.testing.assert_close(cache.read(1, torch.tensor([7])), expected, rtol=2**-11, atol=2**-11)  # float16
