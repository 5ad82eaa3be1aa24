import fsspec
import pytest

from distillation.sources.listing import list_shards
from distillation.sources.retrying import Patience

QUICK = Patience(attempts=1)


@pytest.fixture
def folder(tmp_path) -> str:
    """The URL of a folder of empty files."""
    (tmp_path / "inner").mkdir()
    for name in ("b-09.parquet", "b-10.parquet", "b-11.parquet", "a.tar", "notes.txt", "inner/c.tar", "odd.tar.gz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "linked.tar").symlink_to(tmp_path / "a.tar")
    return f"file://{tmp_path}"


def names(source: str, folder: str) -> list[str]:
    return [shard.url.removeprefix(f"{folder}/") for shard in list_shards(source, QUICK)]


def test_a_folder_means_all_shards_in_it_sorted(folder):
    everything = ["a.tar", "b-09.parquet", "b-10.parquet", "b-11.parquet", "inner/c.tar", "linked.tar"]
    assert names(folder, folder) == everything


def test_globs_ranges_and_files_name_shards(folder):
    assert names(f"{folder}/b-*.parquet", folder) == ["b-09.parquet", "b-10.parquet", "b-11.parquet"]
    assert names(f"{folder}/b-{{09..10}}.parquet", folder) == ["b-09.parquet", "b-10.parquet"]
    assert names(f"{folder}/a.tar", folder) == ["a.tar"]


def test_the_key_changes_with_the_content(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"one")
    source = f"file://{path}"
    before = list_shards(source, QUICK)[0].key
    assert list_shards(source, QUICK)[0].key == before
    path.write_bytes(b"longer")
    assert list_shards(source, QUICK)[0].key != before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("file:///nowhere/*.parquet", r"no file that ends in .parquet or .tar at file:///nowhere/\*.parquet"),
        ("file:///nowhere/a.parquet", r"nothing at file:///nowhere/a.parquet"),
        ("gopher://server/a.parquet", r"gopher://server/a.parquet cannot be opened: Protocol not known: gopher"),
        ("lacking://bucket/a.parquet", r"lacking://bucket/a.parquet cannot be opened: Install that package"),
    ],
)
def test_sources_that_cannot_be_opened_are_refused(source, message):
    fsspec.register_implementation("lacking", "no_such_package.Files", errtxt="Install that package", clobber=True)
    with pytest.raises(ValueError, match=message):
        list_shards(source, QUICK)
