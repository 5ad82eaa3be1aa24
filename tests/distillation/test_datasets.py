import io
import pickle
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

from distillation.datasets import Views, epoch_order, open_images, open_labelled, some_images
from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.decoding import decode
from distillation.views import AUGMENTATIONS, random_view, render

PAPER = AUGMENTATIONS["paper"]


@pytest.fixture
def containers(tmp_path, files):
    """The same images in the same order: {"parquet": path, "folder": path, "tar": path}."""
    for name, data in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for name, data in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    pq.write_table(pa.table({"image": list(files.values())}), tmp_path / "images.parquet")
    return {"parquet": f"{tmp_path}/images.parquet", "folder": f"{tmp_path}/folder", "tar": f"{tmp_path}/images.tar"}


class InMemory:
    """Bytes in a list, in shards or not."""

    def __init__(self, files, shards=None):
        self.files = list(files)
        self.shards = shards

    fingerprint = "in memory"

    def __len__(self):
        return len(self.files)

    def read(self, index):
        return decode(self.files[index])

    def where(self, index):
        return f"place {index}"


def test_files_folders_and_globs_give_the_same_images(parquet):
    folder = parquet.rpartition("/")[0]
    sources = [[parquet], [folder], [f"{folder}/*.parquet"], [f"{folder}/**/train.p*"], [f"{folder}/**"]]
    assert len({open_images(source).fingerprint for source in sources}) == 1


def test_parquet_folders_and_tars_of_the_same_files_have_one_fingerprint(containers, files):
    opened = [open_images([place]) for place in containers.values()]
    assert len({images.fingerprint for images in opened}) == 1
    for i, data in enumerate(files.values()):
        for images in opened:
            assert torch.equal(images.read(i), decode(data))


def test_a_glob_of_folders_reads_each_image_once_and_leaves_none_out(parquet, files, tmp_path, monkeypatch):
    """A folder of parquet stands for these files alone, one of images for all that is in it."""
    shards, photos = tmp_path / "shards", tmp_path / "photos"
    for place in (shards / "a.parquet", shards / "more" / "b.parquet"):
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(parquet, place)
    data = next(iter(files.values()))
    for place in (shards / "x.png", photos / "y.png", photos / "more" / "z.png"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    rows = len(open_images([parquet]))
    monkeypatch.chdir(tmp_path)
    for glob in (f"{shards}/**", "./shards/**", f"{shards}/*"):
        assert len(open_images([glob])) == 2 * rows + 1
    for glob in (f"{photos}/**", "./photos/**", "photos"):
        assert len(open_images([glob])) == 2


def test_a_folder_of_tars_and_a_glob_of_images_are_understood(containers, tmp_path, files):
    (tmp_path / "shards").mkdir()
    Path(containers["tar"]).rename(tmp_path / "shards" / "0.tar")
    assert len(open_images([f"{tmp_path}/shards"])) == len(files)
    assert len(open_images([f"{tmp_path}/folder/*/*.png"])) == 2
    assert len(open_images([f"{tmp_path}/fold*"])) == len(files)


def test_several_sources_follow_each_other(containers, files):
    images = open_images([containers["tar"], containers["parquet"], containers["parquet"], containers["folder"]])
    assert len(images) == 4 * len(files)
    for i, data in enumerate([*files.values()] * 4):
        assert torch.equal(images.read(i), decode(data))
    assert images.where(25) == f"{containers['parquet']} row 5"
    assert images.where(39) == f"{containers['folder']}/{[*files][9]}"
    assert images.shards is None


def test_the_fingerprint_tells_parts_and_orders_apart(containers):
    bright, dark = f"{containers['folder']}/bright", f"{containers['folder']}/dark"
    fingerprints = [open_images(sources).fingerprint for sources in ([bright, dark], [dark, bright], [bright], [dark])]
    assert len(set(fingerprints)) == 4
    assert open_images([containers["folder"]]).fingerprint == fingerprints[0]


@pytest.mark.parametrize("given", ["/nowhere/*.parquet", "nowhere/*.parquet", "nowhere/train.parquet", "tests/nothing"])
def test_nothing_to_read_is_refused_with_what_was_given_and_not_looked_for_on_the_hub(given, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(ValueError, match=f"nothing at {re.escape(given)}; give parquet files"):
        open_images([given])


def test_no_source_and_files_of_unknown_kinds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="images: an empty list; give parquet files"):
        open_images([])
    (tmp_path / "images.zip").touch()
    with pytest.raises(ValueError, match=r"images.zip is of no known kind; give parquet files, tar files"):
        open_images([f"{tmp_path}/images.zip"])


def test_shards_at_a_url_are_fetched_into_the_cache_that_is_named_within_its_limit(containers, files, tmp_path):
    url, cache = f"file://{containers['parquet']}", tmp_path / "cache"
    images = open_images([url, containers["folder"]], shard_cache=cache, shard_cache_gb=1e-3)
    assert torch.equal(images.read(3), decode([*files.values()][3]))
    assert len(list(cache.glob("*.arrow"))) == 1
    with pytest.raises(ValueError, match=r"shard_cache_gb: expected at least .*, got 1e-06; raise it"):
        open_images([url], shard_cache=cache, shard_cache_gb=1e-6)


def test_labels_come_from_the_column_or_from_the_sub_folders(parquet, containers, files):
    table = open_labelled([parquet])
    assert (len(table), table.classes, table.labels.tolist()) == (24, 2, [0, 1] * 12)
    folder = open_labelled([containers["folder"]])
    assert (folder.classes, folder.labels.tolist()) == (2, [0] * 5 + [1] * 5)
    assert torch.equal(folder.read(7), decode([*files.values()][7]))
    assert folder.where(7).endswith("dark/c.webp")


def test_classes_without_names_are_counted_by_the_highest(tmp_path):
    pq.write_table(pa.table({"image": [b"", b""], "label": [0, 6]}), tmp_path / "a.parquet")
    assert open_labelled([f"{tmp_path}/a.parquet"]).classes == 7


def test_sources_without_labels_are_refused(containers):
    with pytest.raises(ValueError, match=r"labels: expected parquet files, or folders .*; got .*images.tar \(tar\)"):
        open_labelled([containers["tar"]])
    with pytest.raises(ValueError, match="expected a column 'label'"):
        open_labelled([containers["parquet"]])


@pytest.mark.parametrize("kind", ["parquet", "folder", "tar", "all"])
def test_views_do_not_depend_on_the_number_of_workers(kind, containers):
    sources = list(containers.values()) if kind == "all" else [containers[kind]]
    views = Views(open_images(sources), 3, PAPER, [(48, "bilinear"), (40, "bicubic")])
    keys = [(index, 5, 32) for index in epoch_order(views.images, 0, 0)]
    batches = [list(DataLoader(views, batch_size=4, sampler=keys, num_workers=workers)) for workers in (0, 2)]
    for ours, theirs in zip(*batches, strict=True):
        assert ours.keys() == theirs.keys() == {"asked", "index", "student", "teacher0", "teacher1"}
        for key in ours:
            assert torch.equal(ours[key], theirs[key])
    assert batches[0][0]["student"].shape == (4, 3, 32, 32)
    assert batches[0][0]["teacher0"].shape == (4, 3, 48, 48)
    assert batches[0][0]["teacher1"].shape == (4, 3, 40, 40)
    assert batches[0][0]["index"].dtype == torch.int64


def test_a_view_is_that_of_its_seed_number_and_index_for_student_and_teachers(files):
    images = InMemory(files.values())
    item = Views(images, 3, PAPER, [(48, "bicubic")])[2, 5, 32]
    image = images.read(2)
    view = random_view(3, 5, 2, (image.shape[1], image.shape[2]), PAPER)
    assert torch.equal(item["student"], render(image, view, 32))
    assert torch.equal(item["teacher0"], render(image, view, 48, "bicubic"))
    assert (item["asked"], item["index"]) == (2, 2)


def test_without_a_size_the_student_gets_no_view(files):
    assert Views(InMemory(files.values()), 0, PAPER, [(16, "bilinear")])[0, 0, 0].keys() == {
        "asked",
        "index",
        "teacher0",
    }


def test_views_go_to_spawned_workers(containers):
    views = Views(open_images(list(containers.values())), 0, PAPER, [])
    copy = pickle.loads(pickle.dumps(views))
    for index in (0, 10, 20):
        assert torch.equal(views[index, 0, 16]["student"], copy[index, 0, 16]["student"])


def test_the_next_undamaged_image_takes_the_place_of_a_damaged_one_with_a_view_of_its_own(files):
    whole = list(files.values())
    views = Views(InMemory([*whole[:4], b"", whole[5][:50], *whole[6:9], b"text"]), 0, PAPER, [])
    for asked, used in ((4, 6), (5, 6), (9, 0)):
        item = views[asked, 1, 32]
        assert (item["asked"], item["index"]) == (asked, used)
        assert torch.equal(item["student"], views[used, 1, 32]["student"])


def test_images_of_which_none_can_be_read_are_refused_with_a_place_and_a_reason():
    message = "images: 3 one after the other cannot be read; the last is place 0: zero bytes"
    with pytest.raises(ValueError, match=message):
        Views(InMemory([b""] * 3), 0, PAPER, [])[1, 0, 32]


def test_the_order_of_an_epoch_is_a_permutation_of_its_own():
    images = InMemory([b""] * 100)
    orders = [epoch_order(images, 0, epoch) for epoch in (0, 0, 1)]
    assert np.array_equal(np.sort(orders[0]), np.arange(100))
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_the_order_of_local_images_is_that_of_earlier_runs():
    expected = torch.randperm(100, generator=torch.Generator().manual_seed(7 * 2**20 + 3))
    assert epoch_order(InMemory([b""] * 100), 7, 3).tolist() == expected.tolist()


def test_the_order_of_shards_is_a_permutation_that_reads_few_of_them_at_a_time():
    shards = (20_000,) * 10
    images = InMemory([b""] * 200_000, shards)
    order = epoch_order(images, 0, 0)
    assert np.array_equal(np.sort(order), np.arange(200_000))
    assert len(np.unique(order[:20_000] // 20_000)) == 2  # a window of 32,768 rows takes two
    assert not np.array_equal(order, epoch_order(images, 0, 1))


def test_images_that_stand_for_all_are_of_shards_from_the_first_to_the_last():
    """The first of an epoch's order are of one window of neighbours, of few classes where shards are sorted by them."""
    images = InMemory([b""] * 200_000, (2_000,) * 100)
    some = some_images(images, 0, 4096)
    assert len(np.unique(some)) == len(some) == 4096
    assert np.array_equal(some, np.sort(some))
    shards = np.unique(some // 2_000)
    assert len(shards) == 32
    assert (shards[0], shards[-1]) == (0, 99)
    assert np.array_equal(some, some_images(images, 0, 4096))
    assert not np.array_equal(some, some_images(images, 1, 4096))


def test_images_that_stand_for_all_are_drawn_from_all_that_lie_at_hand():
    some = some_images(InMemory([b""] * 1000), 0, 100)
    assert len(np.unique(some // 100)) == 10
    assert np.array_equal(some_images(InMemory([b""] * 10), 0, 100), np.arange(10))
    uneven = some_images(InMemory([b""] * 100, (90, 10)), 0, 50)
    assert 35 < (uneven < 90).sum() < 50


def test_beside_remote_shards_local_images_are_one_shard(files):
    images = ConcatenatedImages([InMemory(files.values()), InMemory(files.values(), (3, 7))])
    assert images.shards == (10, 3, 7)
    assert np.array_equal(np.sort(epoch_order(images, 0, 0)), np.arange(20))
