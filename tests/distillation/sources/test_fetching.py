import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillation.sources.fetching import count_rows, download, fetch, image_bytes, read_row, write_arrow
from distillation.sources.listing import Shard
from distillation.sources.retrying import Patience
from distillation.sources.shard_cache import ShardCache

ONCE = Patience(attempts=1)


@pytest.fixture
def cache(tmp_path) -> ShardCache:
    return ShardCache(tmp_path / "cache", 1_000_000)


@pytest.fixture
def shard(tmp_path) -> Shard:
    """Parquet of three images, of which one is missing."""
    path = tmp_path / "a.parquet"
    cells = [{"bytes": b"first", "path": None}, None, {"bytes": b"third", "path": None}]
    pq.write_table(pa.table({"image": cells}), path)
    return Shard(f"file://{path}", path.stat().st_size, "")


def left_in(cache: ShardCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 200])
def test_every_row_that_was_written_is_counted_and_read_by_its_number(tmp_path, count):
    images = [bytes([row]) * (row % 5) for row in range(count)]
    write_arrow(iter(images), tmp_path / "a.arrow")
    assert count_rows(tmp_path / "a.arrow") == count
    assert [read_row(tmp_path / "a.arrow", row) for row in range(count)] == images


def test_a_file_that_was_deleted_to_make_room_is_told_from_one_that_is_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_row(tmp_path / "a.arrow", 0)
    (tmp_path / "a.arrow").write_bytes(b"no Arrow file")
    with pytest.raises(pa.ArrowInvalid):
        read_row(tmp_path / "a.arrow", 0)


def test_a_cell_is_the_bytes_of_a_file_or_a_struct_of_them():
    cells = [b"file", None, {"bytes": b"file", "path": "a.png"}, {"bytes": None, "path": "a.png"}]
    assert [image_bytes(pa.scalar(cell)) for cell in cells] == [b"file", b"", b"file", b""]


def test_a_shard_is_fetched_to_a_file_of_its_images_with_nothing_beside_it(cache, shard):
    path = fetch(shard, 3, cache, ONCE)
    assert [read_row(path, row) for row in range(count_rows(path))] == [b"first", b"", b"third"]
    assert left_in(cache) == [path.name]


def test_a_download_is_gone_once_its_images_are_there(tmp_path, shard):
    (tmp_path / "fetched").mkdir()
    download(shard, tmp_path / "fetched" / "a.arrow", ONCE)
    assert [path.name for path in (tmp_path / "fetched").iterdir()] == ["a.arrow"]


def test_a_shard_that_holds_another_number_of_images_than_was_said_is_refused(cache, shard):
    with pytest.raises(ValueError, match=rf"images: {shard.url} holds 3 images, but 4 were counted .* sizes.json"):
        fetch(shard, 4, cache, ONCE)
    assert left_in(cache) == []


def test_a_download_of_another_length_than_the_storage_states_is_an_error_with_both(cache, shard):
    stated = Shard(shard.url, shard.size_bytes + 1000, "")
    arrived = rf"{shard.size_bytes:,} of {shard.size_bytes + 1000:,} bytes arrived"
    with pytest.raises(OSError, match=f"fetching {shard.url} failed 1 times, at last with: {arrived}"):
        fetch(stated, None, cache, ONCE)
    assert left_in(cache) == []
    assert count_rows(fetch(Shard(shard.url, 0, "unstated"), None, cache, ONCE)) == 3
