import resource

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest

from distillation.cache import shards
from distillation.cache.shards import PARAMETERS, damaged_rows, read_column, read_row, shard_table, write_shard
from distillation.views import AUGMENTATIONS, random_view, to_row


def test_the_parameters_of_a_view_come_back_exactly(tmp_path):
    views = [random_view(7, 0, index, (480, 640), AUGMENTATIONS["strong"]) for index in range(3)]
    parameters = np.array([list(to_row(view).values()) for view in views], np.float64)
    table = shard_table(np.arange(3), np.ones(3, bool), parameters, np.zeros((3, 3), np.float16), None)
    write_shard(tmp_path / "shard.parquet", table)
    assert [read_row(tmp_path / "shard.parquet", index)[0] for index in range(3)] == views


def test_a_row_of_a_damaged_image_has_no_view_and_no_embedding(tmp_path):
    valid = np.array([True, False])
    table = shard_table(np.arange(2), valid, np.ones((2, len(PARAMETERS))), np.ones((2, 3), np.float16), None)
    write_shard(tmp_path / "shard.parquet", table)
    view, embedding = read_row(tmp_path / "shard.parquet", 1)
    assert view is None
    assert np.isnan(embedding).all()
    assert read_row(tmp_path / "shard.parquet", 0)[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("rows", [512, 3])
def test_columns_come_back_as_they_were_written(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(shards, "READ_ROWS", rows)  # fewer than the shard has, as where one is large
    rng = np.random.default_rng(0)
    embeddings, patches = (rng.normal(size=(4, width)).astype(np.float16) for width in (3, 20))
    table = shard_table(np.arange(8, 12), np.ones(4, bool), np.ones((4, len(PARAMETERS))), embeddings, patches)
    file = tmp_path / "made" / "with its folder.parquet"
    write_shard(file, table)
    np.testing.assert_array_equal(read_column(file, "embedding", 8), embeddings, strict=True)
    np.testing.assert_array_equal(read_column(file, "patches", 8), patches, strict=True)


def test_a_column_of_other_rows_or_of_no_such_name_is_refused(whole):
    with pytest.raises(ValueError, match=r"shard-00001.parquet does not hold the rows from 0 on; delete it"):
        read_column(whole.file(0, 1), "embedding", 0)
    with pytest.raises(ValueError, match=r"(?s)shard-00001.parquet cannot be read \(.*patches.*; delete it"):
        read_column(whole.file(0, 1), "patches", 4)


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


def test_a_shard_takes_the_part_that_a_killed_process_left_with_it(whole, write_rows):
    left = whole.file(0, 0).with_name(".shard-00000.parquet.other-123.partial")
    left.touch()
    write_rows(whole, 0, 0)
    assert not left.exists()


def test_shards_are_tables_that_datasets_reads(whole, tmp_path):
    files = [str(whole.file(1, shard)) for shard in range(3)]
    table = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "datasets"))
    assert table["index"][:] == list(range(11))
    assert table[4]["embedding"] == [1, 4, -0.5]
    assert table[6]["valid"] is False
    assert table[6]["top"] is None


def test_damaged_rows_are_the_images_that_could_not_be_read_and_a_cut_file_is_named(whole):
    assert [damaged_rows(whole.file(1, shard)) for shard in range(3)] == [[], [6], []]
    whole.file(0, 1).write_bytes(whole.file(0, 1).read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"(?s)shard-00001.parquet cannot be read \(.*; delete it"):
        damaged_rows(whole.file(0, 1))
