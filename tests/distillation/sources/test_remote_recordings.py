from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
import zarr

from distillation.datasets import open_images
from distillation.sources.remote_recordings import at_hand
from distillation.sources.retrying import Patience

QUICK = Patience(attempts=2, first_wait_s=0.01)


@pytest.fixture
def store(tmp_path):
    """A zarr store of Diffusion Policy's layout: two episodes of 3 and 5 frames."""
    path = tmp_path / "demos.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    root["data/img"] = np.random.default_rng(0).integers(0, 256, (8, 32, 40, 3), dtype=np.uint8)
    root["meta/episode_ends"] = np.array([3, 8])
    return path


def test_a_store_at_a_url_holds_what_its_local_copy_holds(store, tmp_path):
    remote = open_images([f"zarr:file://{store}#img?every=2"], shard_cache=tmp_path / "cache")
    local = open_images([f"zarr:{store}#img?every=2"])
    assert len(remote) == len(local) == 5
    assert remote.fingerprint == local.fingerprint
    assert torch.equal(remote.read(4), local.read(4))


def test_a_copy_is_fetched_once_and_again_where_the_recording_has_changed(store, tmp_path):
    source = f"zarr:file://{store}"
    first = at_hand(source, tmp_path / "cache", QUICK)
    assert first.endswith("demos.zarr")
    assert at_hand(source, tmp_path / "cache", QUICK) == first
    (store / "more").write_text("one more file")
    assert at_hand(source, tmp_path / "cache", QUICK) != first


def test_a_local_source_is_left_as_it_is(tmp_path):
    assert at_hand("lerobot:my/demos#top?every=5", tmp_path) == "lerobot:my/demos#top?every=5"


def test_a_single_file_is_fetched(tmp_path):
    fsspec.filesystem("memory").pipe_file("/films/episode.mp4", b"frames")
    copy = at_hand("video:memory://films/episode.mp4", tmp_path, QUICK).removeprefix("video:")
    assert copy.endswith("episode.mp4")
    with open(copy, "rb") as file:
        assert file.read() == b"frames"


def test_an_interrupted_download_leaves_no_copy(store, tmp_path, monkeypatch):
    fs = fsspec.filesystem("file")

    def refuse(*_, **__):
        raise ConnectionResetError("the network is gone")

    monkeypatch.setattr(type(fs), "get_file", refuse)
    with pytest.raises(OSError, match=r"fetching file://.* failed 2 times, at last with: the network is gone"):
        at_hand(f"zarr:file://{store}", tmp_path / "cache", QUICK)
    assert [path.name for path in (tmp_path / "cache").rglob("*demos*")] == []


def test_an_interrupted_download_of_a_file_is_not_left_behind(tmp_path, monkeypatch):
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/films/episode.mp4", b"frames")

    def interrupt(self, source, target, **_):
        Path(target).write_bytes(b"fra")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(fs), "get_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            at_hand("video:memory://films/episode.mp4", tmp_path, QUICK)
    assert [path.name for path in tmp_path.rglob("*episode*")] == []
    key = next(path for path in tmp_path.iterdir() if path.is_dir())
    (key / ".episode.mp4.partial").write_bytes(b"of a process that was killed")
    copy = at_hand("video:memory://films/episode.mp4", tmp_path, QUICK).removeprefix("video:")
    assert Path(copy).read_bytes() == b"frames"
    assert [path.name for path in tmp_path.rglob("*episode*")] == ["episode.mp4"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file:///nowhere/demos.zarr", "nothing at file:///nowhere/demos.zarr"),
        ("carrier-pigeon://x/y", "carrier-pigeon://x/y cannot be opened: Protocol not known"),
    ],
)
def test_what_is_not_there_is_told(place, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        at_hand(f"zarr:{place}", tmp_path, QUICK)


def test_names_that_lead_out_of_a_recording_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    """A server lists what it likes."""
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/shop/demo.zarr/.zgroup", b"{}")
    listed = {"/shop/demo.zarr/../../../../out.txt": {"size": 2, "type": "file"}}
    monkeypatch.setattr(type(fs), "find", lambda *_, **__: listed)
    cache = tmp_path / "a" / "b" / "cache"
    with pytest.raises(ValueError, match="holds '.*out.txt', which lies outside of it; nothing of it is fetched"):
        at_hand("zarr:memory://shop/demo.zarr", cache, QUICK)
    assert not list(tmp_path.rglob("out.txt"))
