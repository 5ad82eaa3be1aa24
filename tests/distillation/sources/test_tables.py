import hashlib
import io
import pickle
import re
from urllib.parse import urlsplit

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants

from distillation.sources.decoding import DamagedImage, decode
from distillation.sources.tables import LABELLED, TableImages, open_hub, open_parquet
from tests.xdistill_encoder.hub_server import HubServer


def write(path, columns):
    pq.write_table(pa.table(columns), path)
    return str(path)


@pytest.fixture
def halves(tmp_path, files):
    """The files in two parquet files, the second of which lists its columns in another order."""
    data = [{"bytes": data, "path": name} for name, data in files.items()]
    label = list(range(len(data)))
    return [
        write(tmp_path / "a.parquet", {"image": data[:4], "label": label[:4]}),
        write(tmp_path / "b.parquet", {"label": label[4:], "image": data[4:]}),
    ]


def test_rows_are_read_in_the_order_of_the_files(halves, files):
    images = open_parquet(halves)
    assert len(images) == len(files)
    for i, data in enumerate(files.values()):
        assert torch.equal(images.read(i), decode(data))
    assert images.where(3) == f"{halves[0]} row 3"
    assert images.where(4) == f"{halves[1]} row 0"
    with pytest.raises(IndexError):
        images.where(len(files))
    reverse = open_parquet(halves[::-1])
    assert torch.equal(reverse.read(0), images.read(4))


def test_the_fingerprint_is_that_of_the_count_with_the_bytes_of_64_images(tmp_path):
    data = [bytes([i]) for i in range(200)]
    digest = hashlib.sha256(b"200" + b"".join(data[::3]))  # 200 // 64 = 3
    images = open_parquet([write(tmp_path / "a.parquet", {"image": data})])
    assert images.fingerprint == digest.hexdigest()[:16]


def test_the_fingerprint_of_the_shared_images_is_that_of_runs_before(shared):
    images = open_parquet([str(shared / "data" / "eval" / "imagenette_val.parquet")])
    assert images.fingerprint == "199a487936e16c28"  # as recorded in checkpoints that were scored on them


def test_the_images_alone_are_read_unless_labels_are_asked_for(halves):
    assert open_parquet(halves).table.column_names == ["image"]
    labels, names = open_parquet(halves, LABELLED).labels()
    assert labels.tolist() == list(range(10))
    assert labels.dtype == np.int64
    assert names is None


def test_class_labels_have_names(parquet):
    labels, names = open_parquet([parquet], LABELLED).labels()
    assert labels.tolist() == [0, 1] * 12
    assert names == ("dark", "bright")


@pytest.mark.parametrize("label", [["cat", "dog"], [0, None], [0, -1], [0.0, 1.5]])
def test_labels_that_are_no_class_numbers_are_refused_with_an_example(label, tmp_path):
    path = write(tmp_path / "a.parquet", {"image": [b"", b""], "label": label})
    with pytest.raises(ValueError, match=re.escape(f"class numbers from 0 up in the column 'label' of {path}, got [")):
        open_parquet([path], LABELLED).labels()


@pytest.mark.parametrize("form", ["bytes", "large", "struct", "path", "text"])
def test_bytes_structs_of_bytes_and_paths_of_files_are_read(form, tmp_path, files):
    name, data = next(iter(files.items()))
    file = tmp_path / name.replace("/", "-")
    file.write_bytes(data)
    cell = {
        "bytes": data,
        "large": data,
        "struct": {"bytes": data},
        "path": {"bytes": None, "path": str(file)},
        "text": str(file),
    }[form]
    column = pa.array([cell], pa.large_binary() if form == "large" else None)
    images = open_parquet([write(tmp_path / "a.parquet", {"image": column})])
    assert torch.equal(images.read(0), decode(data))


def test_cells_that_are_empty_or_lead_nowhere_are_damaged_images(tmp_path):
    cells = [{"bytes": b"", "path": None}, {"bytes": None, "path": None}, None, {"bytes": None, "path": "/nowhere.png"}]
    images = open_parquet([write(tmp_path / "a.parquet", {"image": cells})])
    for i, reason in enumerate(["zero bytes", "an empty cell", "an empty cell", "no such file"]):
        with pytest.raises(DamagedImage, match=reason):
            images.read(i)


def test_a_missing_column_is_named_with_those_that_are_there(halves, tmp_path):
    path = write(tmp_path / "c.parquet", {"picture": [b""], "label": [0]})
    message = f"expected a column 'image' in {path}, got columns picture, label"
    with pytest.raises(ValueError, match=re.escape(message)):
        open_parquet([*halves, path])
    path = write(tmp_path / "d.parquet", {"image": [b""]})
    with pytest.raises(ValueError, match=re.escape(f"expected a column 'label' in {path}, got columns image")):
        open_parquet([path], LABELLED)


def test_pixels_in_place_of_files_are_refused(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": [[[0, 1], [2, 3]]]})
    with pytest.raises(ValueError, match=f"expected encoded files in the column 'image' of {path}, got List"):
        open_parquet([path])


def test_a_file_that_is_not_parquet_is_refused_by_name(halves, tmp_path):
    path = tmp_path / "c.parquet"
    path.write_text("not found")
    with pytest.raises(ValueError, match=re.escape(f"{path} cannot be read as parquet")):
        open_parquet([*halves, str(path)])


def test_files_with_images_of_different_kinds_are_refused(tmp_path):
    paths = [write(tmp_path / "a.parquet", {"image": [b""]}), write(tmp_path / "b.parquet", {"image": [[1, 2]]})]
    with pytest.raises(ValueError, match="cannot be read as one table: .*a.parquet, .*b.parquet: "):
        open_parquet(paths)


def test_files_without_rows_are_passed_over_and_refused_where_there_is_no_other(halves, tmp_path, files):
    empty = write(tmp_path / "empty.parquet", {"image": pa.array([], pa.binary())})
    images = open_parquet([halves[0], empty, halves[1]])
    assert len(images) == len(files)
    assert images.where(4) == f"{halves[1]} row 0"
    with pytest.raises(ValueError, match=f"no rows in {empty}"):
        open_parquet([empty])


def test_a_selection_of_rows_in_another_order_is_read_in_that_order(parquet):
    table = datasets.load_dataset("parquet", data_files=parquet, split="train")
    assert isinstance(table, datasets.Dataset)
    whole, selected = TableImages(table, "whole"), TableImages(table.select([7, 2]), "selected")
    assert torch.equal(selected.read(0), whole.read(7))
    assert selected.where(1) == "selected row 1"
    assert selected.fingerprint != whole.fingerprint


def test_worker_processes_get_the_place_of_the_table_and_not_its_bytes(parquet):
    images = open_parquet([parquet])
    pickled = pickle.dumps(images)
    assert len(pickled) < 20_000 < sum(len(images.encoded(i)) for i in range(24))
    assert torch.equal(pickle.loads(pickled).read(5), images.read(5))


@pytest.fixture
def photos(files):
    """The id of a dataset of two splits, on a Hub that answers at HF_ENDPOINT until the test ends."""
    server = HubServer(urlsplit(constants.ENDPOINT).port or 0)
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [{"bytes": data} for data in files.values()], "label": [0, 1] * 5}), buffer)
    splits = {f"data/{split}-00000-of-00001.parquet": buffer.getvalue() for split in ("train", "test")}
    server.add("datasets/lab/photos", splits)
    server.start()
    yield "lab/photos"
    server.stop()


def test_a_dataset_of_the_hub_is_read_with_labels_where_they_are_asked_for(photos, files):
    images = open_hub(photos, "train")
    assert (len(images), images.table.column_names) == (10, ["image"])
    assert torch.equal(images.read(3), decode([*files.values()][3]))
    assert images.where(3) == "lab/photos train row 3"
    assert open_hub(photos, "test", LABELLED).labels()[0].tolist() == [0, 1] * 5


def test_a_split_or_a_dataset_that_the_hub_does_not_have_is_refused_by_name(photos):
    with pytest.raises(ValueError, match=r"images: lab/photos: .*nosuch.*train"):
        open_hub(photos, "nosuch")
    with pytest.raises(
        ValueError, match="images: lab/nothing is nothing on this machine, nor to be had from the Hub: "
    ):
        open_hub("lab/nothing", "train")
