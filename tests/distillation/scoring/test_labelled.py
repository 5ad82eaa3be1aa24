import io
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from distillation.scoring.labelled import open_bank_and_queries
from tests.xdistill_encoder.hub_server import HubServer


@pytest.fixture
def scenes(files):
    """The id of a dataset of ten training and six validation images, on a Hub that answers until the test ends."""
    server = HubServer(urlsplit(constants.ENDPOINT).port or 0)
    splits = {}
    for split, rows in {"train": 10, "validation": 6}.items():
        buffer = io.BytesIO()
        cells = [{"bytes": data} for data in files.values()]
        pq.write_table(pa.table({"image": cells[:rows], "label": [i % 2 for i in range(rows)]}), buffer)
        splits[f"data/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    server.add("datasets/lab/scenes", splits)
    server.start()
    yield "lab/scenes"
    server.stop()


def test_bank_and_queries_of_one_hub_dataset_are_its_training_and_validation_images(scenes):
    bank, queries = open_bank_and_queries((scenes,), (scenes,))
    assert (len(bank), len(queries)) == (10, 6)


@pytest.mark.parametrize("spelling", ["{folder}/../{name}/bank.parquet", "{folder}", "{folder}/b*.parquet"])
def test_files_of_the_bank_are_no_queries_however_they_are_spelt(bank, spelling):
    folder = Path(bank).parent
    with pytest.raises(
        ValueError, match="queries: .*bank.parquet is in the bank too, in which each query finds itself"
    ):
        open_bank_and_queries((bank,), (spelling.format(folder=folder, name=folder.name),))


@pytest.fixture
def labelled(tmp_path, files):
    """(name, labels) -> a parquet of images whose labels are numbers without names."""

    def write(name: str, labels: list[int]) -> str:
        cells = [{"bytes": data} for data in files.values()][: len(labels)]
        pq.write_table(pa.table({"image": cells, "label": labels}), tmp_path / f"{name}.parquet")
        return str(tmp_path / f"{name}.parquet")

    return write


def test_numbered_queries_may_lack_the_highest_class_and_may_not_have_more(labelled):
    bank, fewer, more = labelled("bank", [0, 1, 2]), labelled("fewer", [0, 1]), labelled("more", [0, 3])
    assert len(open_bank_and_queries((bank,), (fewer,))[1]) == 2
    with pytest.raises(ValueError, match="queries: the bank has 3 classes, the queries have 4"):
        open_bank_and_queries((bank,), (more,))


def test_numbers_beside_names_are_refused_since_nobody_knows_which_is_which(labelled, files, tmp_path):
    for name, data in zip(("bright", "dark"), files.values(), strict=False):
        (tmp_path / "named" / name).mkdir(parents=True)
        (tmp_path / "named" / name / "0.png").write_bytes(data)
    with pytest.raises(ValueError, match="labels of the queries are numbers without names, the others have names"):
        open_bank_and_queries((str(tmp_path / "named"),), (labelled("queries", [0, 1]),))


def test_one_split_of_a_hub_dataset_as_bank_and_queries_is_refused():
    with pytest.raises(ValueError, match="queries: the split 'train' of lab/scenes is in the bank too"):
        open_bank_and_queries(("lab/scenes",), ("lab/scenes",), queries_split="train")
