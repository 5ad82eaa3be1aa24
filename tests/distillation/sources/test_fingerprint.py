import pyarrow as pa
import pyarrow.parquet as pq

from distillation.sources.fingerprint import fingerprint
from distillation.sources.folders import FolderImages
from distillation.sources.tables import open_parquet


def test_an_image_without_bytes_counts_as_an_empty_file(tmp_path, files):
    data = [*files.values()]
    cells = [{"bytes": one, "path": None} for one in data]
    pq.write_table(pa.table({"image": [*cells, None]}), tmp_path / "null.parquet")
    expected = fingerprint(len(data) + 1, [*data, b""].__getitem__)
    assert open_parquet([str(tmp_path / "null.parquet")]).fingerprint == expected

    (tmp_path / "folder").mkdir()
    for number, one in enumerate(data):
        (tmp_path / "folder" / f"{number}.png").write_bytes(one)
    (tmp_path / "folder" / "z.png").symlink_to(tmp_path / "nothing.png")
    assert FolderImages([str(tmp_path / "folder")]).fingerprint == expected
