import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from distillation.sources.counting import count_images, stated_counts
from distillation.sources.listing import Shard, list_shards
from distillation.sources.retrying import Patience
from distillation.sources.shard_cache import ShardCache

ONCE = Patience(attempts=1)


@pytest.fixture
def cache(tmp_path) -> ShardCache:
    return ShardCache(tmp_path / "cache", 1_000_000)


def write_tar(path: Path, names: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())


def only_shard(folder: Path) -> Shard:
    (shard,) = list_shards(f"file://{folder}", ONCE)
    return shard


def test_the_rows_of_parquet_are_counted_without_fetching_it(tmp_path, cache):
    pq.write_table(pa.table({"image": [b"a", b"b", None]}), tmp_path / "a.parquet")
    assert count_images(only_shard(tmp_path), cache, ONCE) == 3
    assert not list(cache.folder.glob("*.arrow"))


def test_the_images_of_a_tar_are_counted_and_other_members_are_not(tmp_path, cache):
    write_tar(tmp_path / "a.tar", ["0.png", "0.cls", "1.jpg", "1.json", "notes.txt"])
    assert count_images(only_shard(tmp_path), cache, ONCE) == 2


def test_tars_are_counted_at_once_with_room_for_one_of_them(tmp_path):
    """One may be deleted for the next before it is counted."""
    for shard in range(24):
        write_tar(tmp_path / "shards" / f"{shard:02}.tar", [f"{number}.png" for number in range(1 + shard)])
    shards = list_shards(f"file://{tmp_path}/shards", ONCE)
    cache = ShardCache(tmp_path / "cache", 2 * max(shard.size_bytes for shard in shards))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda shard: count_images(shard, cache, ONCE), shards)) == list(range(1, 25))


def test_a_tar_that_is_gone_is_not_waited_for(tmp_path, cache):
    write_tar(tmp_path / "a.tar", ["0.png"])
    shard = only_shard(tmp_path)
    (tmp_path / "a.tar").unlink()
    with pytest.raises(FileNotFoundError):
        count_images(shard, cache, ONCE)


def test_a_count_is_kept_for_as_long_as_the_shard_is_the_same(tmp_path, cache):
    pq.write_table(pa.table({"image": [b"a"]}), tmp_path / "a.parquet")
    first = only_shard(tmp_path)
    count_images(first, cache, ONCE)
    pq.write_table(pa.table({"image": [b"a", b"b", b"c"]}), tmp_path / "a.parquet")
    changed = only_shard(tmp_path)
    (tmp_path / "a.parquet").unlink()
    assert count_images(first, cache, ONCE) == 1
    with pytest.raises(FileNotFoundError):
        count_images(changed, cache, ONCE)


@pytest.mark.parametrize(
    "stored", [pa.binary(), pa.large_binary(), pa.struct({"path": pa.utf8(), "bytes": pa.binary()})], ids=str
)
def test_every_way_to_store_the_bytes_of_a_file_is_counted(tmp_path, cache, stored):
    pq.write_table(pa.table({"image": pa.array([None, None], stored)}), tmp_path / "a.parquet")
    assert count_images(only_shard(tmp_path), cache, ONCE) == 2


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"label": [1], "name": ["a"]}, "expected a column 'image' in file://.*a.parquet, got columns label, name"),
        ({"image": [1, 2]}, "expected the bytes of image files in the column 'image' of file://.*, got int64"),
        ({"image": [{"path": "a.png"}]}, "expected the bytes of image files .*, got struct<path: string>"),
    ],
)
def test_parquet_without_images_is_refused_with_what_it_has(tmp_path, cache, columns, complaint):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=f"images: {complaint}"):
        count_images(only_shard(tmp_path), cache, ONCE)
    assert not list(cache.folder.glob("*.count"))


# ---- sizes.json


def test_counts_are_those_stated_beside_the_tars_of_each_folder(tmp_path):
    for folder, sizes in (("a", {"0.tar": 3, "1.tar": 4}), ("b", {"0.tar": 5}), ("c", None)):
        write_tar(tmp_path / folder / "0.tar", ["0.png"])
        if sizes:
            (tmp_path / folder / "sizes.json").write_text(json.dumps(sizes))
    url = f"file://{tmp_path}"
    stated = stated_counts(list_shards(url, ONCE), ONCE)
    assert stated == {f"{url}/a/0.tar": 3, f"{url}/a/1.tar": 4, f"{url}/b/0.tar": 5}


class ForbiddenFile(MemoryFileSystem):
    """As S3 answers for a missing file in a bucket that may be read and not listed; over http it says 403."""

    protocol = "forbidden"
    errors: ClassVar = [PermissionError("Forbidden")]

    def cat_file(self, *_, **__):
        raise self.errors[0]


@pytest.mark.parametrize("status", [None, 403])
def test_where_a_missing_file_is_forbidden_no_counts_are_stated(monkeypatch, status):
    fsspec.register_implementation("forbidden", ForbiddenFile, clobber=True)
    if status:
        error = RuntimeError("403, message='Forbidden'")
        error.status = status  # type: ignore[attr-defined]  # as aiohttp's has it
        monkeypatch.setattr(ForbiddenFile, "errors", [error])
    assert stated_counts([Shard("forbidden://bucket/a.tar", 0, "")], ONCE) == {}


def test_a_file_of_that_name_beside_parquet_is_not_read(tmp_path):
    (tmp_path / "sizes.json").write_text("of shoes")
    assert stated_counts([Shard(f"file://{tmp_path}/a.parquet", 0, "")], ONCE) == {}


@pytest.mark.parametrize("text", ["of shoes", "[3, 4]", '{"0.tar": "many"}', '{"0.tar": null}'])
def test_a_file_that_states_no_counts_is_refused_by_name(tmp_path, text):
    (tmp_path / "sizes.json").write_text(text)
    with pytest.raises(ValueError, match=r"images: file://.*/sizes.json: expected \{.*: images in it\}.*; correct"):
        stated_counts([Shard(f"file://{tmp_path}/0.tar", 0, "")], ONCE)
