import io
import json
import multiprocessing
import pickle
import tarfile
import time
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from distillation.sources.decoding import DamagedImage
from distillation.sources.remote import RemoteShards, is_remote, open_urls
from distillation.sources.retrying import Patience
from distillation.sources.tables import open_parquet
from distillation.sources.tars import TarImages
from distillation.sources.windows import windowed_order

SHARDS, ROWS = 16, 10
QUICK = Patience(attempts=3, first_wait_s=0.01)


def open_remote(*arguments, **options) -> RemoteShards:
    (images,) = open_urls(*arguments, **options)
    assert isinstance(images, RemoteShards)
    return images


class Unreliable(MemoryFileSystem):
    """Files in memory behind a network whose next answers are given."""

    protocol = "unreliable"
    store = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    faults = []  # noqa: RUF012
    fetched = []  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("unreliable://", "memory://"))

    def unstrip_protocol(self, name):
        return f"unreliable://{name}"

    def get_file(self, rpath, lpath, **kwargs):
        self.fetched.append(rpath)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        data = self.cat_file(rpath)
        Path(lpath).write_bytes(data if fault is None else fault(data))


@pytest.fixture
def network() -> type[Unreliable]:
    fsspec.register_implementation("unreliable", Unreliable, clobber=True)
    for held in (Unreliable.store, Unreliable.faults, Unreliable.fetched):
        held.clear()
    Unreliable.pseudo_dirs[:] = [""]
    return Unreliable


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The same images as parquet and as tar shards: 16 of 10 noisy PNG files, about 6 kB each."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    for shard in range(SHARDS):
        files = [png(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)) for _ in range(ROWS)]
        rows = [{"bytes": file, "path": None} for file in files]
        pq.write_table(
            pa.table({"label": [0] * ROWS, "image": rows}), folder / f"part-{shard:02}.parquet", row_group_size=4
        )
        with tarfile.open(folder / f"part-{shard:02}.tar", "w") as archive:
            for number, file in enumerate(files):
                add(archive, f"{number:03}.png", file)
                add(archive, f"{number:03}.cls", b"0")
    return folder


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def upload(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        fsspec.filesystem("unreliable").pipe_file(f"/bucket/{path.name}", path.read_bytes())


def shard_bytes(folder: Path, kind: str) -> int:
    return max(path.stat().st_size for path in folder.glob(f"*.{kind}"))


def all_bytes(images: RemoteShards) -> list[bytes]:
    return [images.encoded(index) for index in range(len(images))]


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_remote_shards_hold_what_their_local_copies_hold(folder, tmp_path, kind):
    files = sorted(str(path) for path in folder.glob(f"*.{kind}"))
    local = open_parquet(files) if kind == "parquet" else TarImages(files)
    remote = open_remote([f"file://{folder}/*.{kind}"], tmp_path)
    assert is_remote(f"file://{folder}")
    assert remote.fingerprint == local.fingerprint
    assert remote.shards == (ROWS,) * SHARDS
    assert all_bytes(remote) == [local.encoded(index) for index in range(len(local))]
    assert torch.equal(remote.read(37), local.read(37))
    assert remote.where(37) == f"file://{folder}/part-03.{kind} row 7"


def test_a_fingerprint_of_parquet_fetches_no_shard_and_is_kept(folder, tmp_path, network):
    upload(folder, "*.parquet")
    first = open_remote(["unreliable://bucket"], tmp_path).fingerprint
    assert network.fetched == []
    network.store.clear()
    upload(folder, "*.parquet")
    assert open_remote(["unreliable://bucket"], tmp_path).fingerprint == first


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_an_epoch_in_windows_fetches_each_shard_once_and_keeps_within_the_limit(folder, tmp_path, network, kind):
    upload(folder, f"*.{kind}")
    limit = 8 * shard_bytes(folder, kind)
    images = open_remote(["unreliable://bucket"], tmp_path, limit / 1e9, window=2 * ROWS)
    network.fetched.clear()
    if kind == "tar":  # these were fetched to be counted
        for path in tmp_path.glob("*.arrow"):
            path.unlink()
    most = 0
    for index in windowed_order(images.shards, 0, 0, window=2 * ROWS):
        images.encoded(index)
        most = max(most, images.cache.used_bytes())
    assert sorted(network.fetched) == [f"/bucket/part-{shard:02}.{kind}" for shard in range(SHARDS)]
    assert most <= limit
    assert len(list(tmp_path.glob("*.arrow"))) < SHARDS  # so some were deleted


def test_any_row_can_be_read_at_any_time_with_room_for_few_shards(folder, tmp_path):
    whole = all_bytes(open_remote([f"file://{folder}/*.parquet"], tmp_path / "whole"))
    limit = 6.1 * shard_bytes(folder, "parquet")
    images = open_remote([f"file://{folder}/*.parquet"], tmp_path / "few", limit / 1e9, window=ROWS)
    for index in np.random.default_rng(0).permutation(len(images)).tolist():
        assert images.encoded(index) == whole[index]
        assert images.cache.used_bytes() <= limit


class Rows(Dataset):
    def __init__(self, images: RemoteShards):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images.read(index)


def test_batches_depend_neither_on_workers_nor_on_where_a_run_resumed(folder, tmp_path):
    def batches(name: str, start: int, workers: int) -> torch.Tensor:
        limit = 8 * shard_bytes(folder, "parquet")
        images = open_remote([f"file://{folder}/*.parquet"], tmp_path / name, limit / 1e9, window=2 * ROWS)
        order = windowed_order(images.shards, 0, 1, window=2 * ROWS)[start:]
        return torch.cat(list(DataLoader(Rows(images), 8, sampler=order.tolist(), num_workers=workers)))

    alone = batches("alone", 0, 0)
    assert torch.equal(batches("workers", 0, 2), alone)
    assert torch.equal(batches("resumed", 40, 0), alone[40:])


def read_all(folder: Path, cache: Path, limit: float, epoch: int, answers) -> None:
    images = open_remote([f"file://{folder}/*.parquet"], cache, limit / 1e9, window=2 * ROWS)
    order = windowed_order(images.shards, 0, epoch, window=2 * ROWS)
    answers.put({int(index): images.encoded(index) for index in order})


def test_processes_that_share_a_small_folder_read_the_same(folder, tmp_path):
    expected = dict(enumerate(all_bytes(open_remote([f"file://{folder}/*.parquet"], tmp_path / "alone"))))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    limit = 8 * shard_bytes(folder, "parquet")
    readers = [
        context.Process(target=read_all, args=(folder, tmp_path / "shared", limit, epoch, answers))
        for epoch in range(3)
    ]
    for reader in readers:
        reader.start()
    assert all(answers.get(timeout=60) == expected for _ in readers)
    for reader in readers:
        reader.join()


@pytest.mark.parametrize("kind", ["parquet", "tar"])
@pytest.mark.parametrize(
    "fault",
    [ConnectionError("reset"), TimeoutError(), lambda data: data[:-100], lambda data: bytes(len(data))],
    ids=["no connection", "time-out", "truncated", "garbage"],
)
def test_a_failed_or_damaged_download_is_tried_again(folder, tmp_path, network, kind, fault):
    upload(folder, f"part-00.{kind}")
    if kind == "tar":
        fsspec.filesystem("unreliable").pipe_file("/bucket/sizes.json", json.dumps({"part-00.tar": ROWS}).encode())
    images = open_remote(["unreliable://bucket"], tmp_path, patience=QUICK)
    assert network.fetched == []
    network.faults[:] = [fault, fault]
    assert torch.equal(images.read(3), open_remote([f"file://{folder}/part-00.{kind}"], tmp_path / "other").read(3))
    assert len(network.fetched) == 3


def test_a_download_that_never_succeeds_names_the_url_and_leaves_nothing(folder, tmp_path, network):
    upload(folder, "part-0[01].parquet")
    images = open_remote(["unreliable://bucket"], tmp_path, patience=QUICK)
    network.faults[:] = [ConnectionError("reset")] * 3
    with pytest.raises(
        OSError, match=r"fetching unreliable:///bucket/part-01.parquet failed 3 times, at last with: reset"
    ):
        images.read(ROWS)
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".lock", ".count")]


def test_a_damaged_image_in_a_good_shard_is_one_damaged_image(tmp_path):
    rows = [{"bytes": png(np.zeros((4, 4, 3), np.uint8)), "path": None}, {"bytes": b"no image", "path": None}, None]
    pq.write_table(pa.table({"image": rows}), tmp_path / "a.parquet")
    images = open_remote([f"file://{tmp_path}"], tmp_path / "cache")
    assert images.read(0).shape == (3, 4, 4)
    for index in (1, 2):
        with pytest.raises(DamagedImage):
            images.read(index)


def test_stated_counts_that_are_wrong_are_refused(folder, tmp_path):
    for shard in (0, 1):
        (tmp_path / f"part-{shard:02}.tar").symlink_to(folder / f"part-{shard:02}.tar")
    (tmp_path / "sizes.json").write_text(json.dumps({"part-00.tar": ROWS, "part-01.tar": ROWS + 1}))
    images = open_remote([f"file://{tmp_path}/*.tar"], tmp_path / "cache")
    assert len(images) == 2 * ROWS + 1
    with pytest.raises(ValueError, match=rf"part-01.tar holds {ROWS} images, but {ROWS + 1} .* sizes.json"):
        images.read(ROWS)


def test_prefetched_shards_are_here_before_they_are_read(folder, tmp_path, network):
    upload(folder, "*.parquet")
    images = open_remote(["unreliable://bucket"], tmp_path, patience=QUICK)
    images.prefetch(np.array([55, 3, 51, 4]))  # of the shards 5 and 0
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("*.arrow"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    network.faults[:] = [ConnectionError("the network is gone")] * 100
    assert images.read(50).shape == images.read(9).shape == (3, 40, 50)
    assert sorted(network.fetched) == ["/bucket/part-00.parquet", "/bucket/part-05.parquet"]
    assert len(pickle.loads(pickle.dumps(images))) == SHARDS * ROWS


def test_memory_stays_flat_over_epochs(tmp_path):
    rng = np.random.default_rng(0)
    for shard in range(4):
        rows = [{"bytes": rng.bytes(100_000), "path": None} for _ in range(100)]
        pq.write_table(pa.table({"image": rows}), tmp_path / f"{shard}.parquet", compression="none")
    images = open_remote([f"file://{tmp_path}"], tmp_path / "cache", 0.1)
    resident = []
    for epoch in range(4):
        for index in windowed_order(images.shards, 0, epoch):
            images.encoded(index)
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    assert max(resident[1:]) - resident[0] < 10e6  # of 40 MB that are read each epoch


def test_a_limit_too_small_for_two_windows_is_refused_at_the_start(folder, tmp_path):
    with pytest.raises(
        ValueError, match=r"shard_cache_gb: expected at least .* for two windows .* got 1e-05; raise it"
    ):
        open_remote([f"file://{folder}/*.parquet"], tmp_path, 1e-5, window=2 * ROWS)
