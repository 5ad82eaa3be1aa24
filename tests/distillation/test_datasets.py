import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from distillation.datasets import Views, epoch_order, fingerprint, load_table, rgb


def test_files_folders_and_globs_give_the_same_images(parquet, tmp_path):
    folder = parquet.rpartition("/")[0]
    sources = [[parquet], [folder], [f"{folder}/*.parquet"]]
    assert len({fingerprint(load_table(source)) for source in sources}) == 1


def test_the_fingerprint_tells_subsets_apart(parquet):
    table = load_table([parquet])
    assert fingerprint(table) != fingerprint(table.select(range(23)))
    assert fingerprint(table) != fingerprint(table.select(range(23, -1, -1)))


@pytest.mark.parametrize("given", ["/nowhere/*.parquet", "nowhere/*.parquet", "nowhere/train.parquet", "tests/nothing"])
def test_nothing_to_read_is_refused_with_what_was_given_and_not_looked_for_on_the_hub(given, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(ValueError, match=f"no parquet file in {re.escape(given)}; give files, folders or globs"):
        load_table([given])


def test_a_table_without_images_is_refused_with_its_columns(parquet, tmp_path):
    load_table([parquet]).select_columns("label").to_parquet(str(tmp_path / "labels.parquet"))
    with pytest.raises(ValueError, match="expected a column 'image', got columns label"):
        load_table([str(tmp_path)])


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1"])
def test_images_of_any_mode_become_three_channels(mode):
    image = rgb(Image.new("RGB", (8, 6), (200, 200, 200)).convert(mode))
    assert (image.shape, image.dtype) == ((3, 6, 8), torch.uint8)


def test_views_do_not_depend_on_the_number_of_workers(parquet):
    table = load_table([parquet])
    views = Views(table, epoch_order(len(table), 0, 0).numpy(), 0, 0, 0.35, {"student": 32, "teacher": 48})
    batches = [list(DataLoader(views, batch_size=8, num_workers=workers)) for workers in (0, 2)]
    for ours, theirs in zip(*batches, strict=True):
        for key in ("index", "student", "teacher"):
            assert torch.equal(ours[key], theirs[key])
    assert batches[0][0]["student"].shape == (8, 3, 32, 32)
    assert batches[0][0]["teacher"].shape == (8, 3, 48, 48)


def test_the_order_of_an_epoch_is_a_permutation_of_its_own():
    orders = [epoch_order(100, 0, epoch).numpy() for epoch in (0, 0, 1)]
    assert np.array_equal(np.sort(orders[0]), np.arange(100))
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
