import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from distillation.sources.shard_cache import ShardCache


def writes(size_bytes: int, calls: list[Path] | None = None):
    def fill(path: Path) -> None:
        if calls is not None:
            calls.append(path)
        path.write_bytes(b"x" * size_bytes)

    return fill


def ages(cache: ShardCache, key: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(cache.path(key), (then, then))


def test_the_least_recently_used_files_make_room(tmp_path):
    cache = ShardCache(tmp_path, 1000)
    for key, seconds in (("a", 30), ("b", 20), ("c", 10)):
        cache.ensure(key, 300, writes(300))
        ages(cache, key, seconds)
    cache.touch(cache.path("a"))
    cache.ensure("d", 300, writes(300))
    assert [key for key in "abcd" if cache.path(key).exists()] == ["a", "c", "d"]
    assert cache.used_bytes() == 900


def promised_bytes(cache: ShardCache) -> int:
    """Of files and reservations, at one moment; a file that has just arrived lies in its reservation."""
    sizes: dict[str, int] = {}
    with cache.lock("room"):  # meanwhile nothing is reserved or deleted
        for path in list(cache.folder.iterdir()):
            if path.suffix in (".arrow", ".reserved"):
                try:
                    sizes[path.stem] = max(sizes.get(path.stem, 0), path.stat().st_size)
                except FileNotFoundError:  # a reservation whose file has arrived
                    continue
    return sum(sizes.values())


def test_the_limit_holds_while_several_fetch(tmp_path):
    cache, most = ShardCache(tmp_path, 1000), []

    def fill(path: Path) -> None:
        most.append(promised_bytes(cache))
        time.sleep(0.02)
        path.write_bytes(b"x" * 200)

    threads = [threading.Thread(target=cache.ensure, args=(str(i), 400, fill)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 8
    assert max(most) <= 1000
    assert cache.used_bytes() <= 1000


def test_two_that_want_one_file_fetch_it_once(tmp_path):
    cache, calls = ShardCache(tmp_path, 1000), []

    def fill(path: Path) -> None:
        time.sleep(0.1)
        writes(10, calls)(path)

    threads = [threading.Thread(target=cache.ensure, args=("a", 10, fill)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_what_a_killed_process_left_is_cleared_when_its_room_is_needed(tmp_path):
    cache = ShardCache(tmp_path, 1000)
    for name in ("dead.reserved", "dead.partial", "dead.partial.tar"):
        (tmp_path / name).write_bytes(b"x" * 900)
    cache.ensure("a", 500, writes(500))
    assert not list(tmp_path.glob("dead.[rp]*"))
    assert cache.used_bytes() == 500


def test_a_failed_fetch_leaves_nothing(tmp_path):
    cache = ShardCache(tmp_path, 1000)

    def fill(path: Path) -> None:
        path.write_bytes(b"half")
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        cache.ensure("a", 500, fill)
    assert cache.used_bytes() == 0
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_a_shard_that_is_larger_than_the_limit_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shard_cache_gb: fetching one shard takes 2e-06 GB .* the limit is 1e-06 GB"):
        ShardCache(tmp_path, 1000).ensure("a", 2000, writes(2000))


def test_notes_are_kept(tmp_path):
    cache = ShardCache(tmp_path, 1000)
    assert cache.note("a.count") is None
    cache.write_note("a.count", "12")
    assert cache.note("a.count") == "12"


def test_a_fetch_goes_on_where_a_killed_process_wanted_the_same_file(tmp_path):
    cache = ShardCache(tmp_path, 1000)
    for name in ("a.reserved", "a.partial", "a.partial.tar"):
        (tmp_path / name).write_bytes(b"x" * 900)
    cache.ensure("a", 500, writes(500))
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["a.arrow"]


def start_a_fetch_that_never_ends(folder: Path) -> None:
    def fill(path: Path) -> None:
        path.write_bytes(b"half")
        time.sleep(600)

    ShardCache(folder, 1000).ensure("a", 900, fill)


@pytest.mark.parametrize("wanted", ["a", "b"])
def test_a_process_that_is_killed_while_it_fetches_holds_nobody_up(tmp_path, wanted):
    fetching = multiprocessing.get_context("fork").Process(target=start_a_fetch_that_never_ends, args=(tmp_path,))
    fetching.start()
    while not (tmp_path / "a.partial").exists():
        time.sleep(0.01)
    fetching.kill()
    fetching.join()
    ShardCache(tmp_path, 1000).ensure(wanted, 500, writes(500))
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == [f"{wanted}.arrow"]
