import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from distillation.datasets import prefetching
from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.decoding import decode
from distillation.sources.remote import open_urls
from distillation.sources.tables import open_parquet


def test_remote_parts_are_prefetched_beside_local_ones(tmp_path, files):
    data = [*files.values()]
    cells = [{"bytes": one, "path": None} for one in data]
    for name, rows in {"local": cells[:4], "a": cells[4:7], "b": cells[7:9], "c": cells[9:]}.items():
        pq.write_table(pa.table({"image": rows}), tmp_path / f"{name}.parquet")
    (remote,) = open_urls([f"file://{tmp_path}/{name}.parquet" for name in "abc"], tmp_path / "cache")
    images = ConcatenatedImages([open_parquet([str(tmp_path / "local.parquet")]), remote])
    prefetch = prefetching(images)
    assert prefetch is not None
    prefetch(np.array([9, 2, 5, 0]))  # rows 5 and 1 of the remote part, in its shards c and a
    deadline = time.monotonic() + 20
    while len(list((tmp_path / "cache").glob("*.arrow"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    for name in "ac":
        (tmp_path / f"{name}.parquet").unlink()
    assert all(torch.equal(images.read(index), decode(data[index])) for index in (0, 4, 6, 9))


def test_local_parts_alone_have_nothing_to_prefetch(parquet):
    assert prefetching(ConcatenatedImages([open_parquet([parquet]), open_parquet([parquet])])) is None
