"""A local folder of fetched shards with a limit on its bytes."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

TOUCH_AFTER_S = 1.0
_POLL_S = 0.05


class ShardCache:
    """Files by key, fetched once by one process, the least recently used deleted when the limit is reached.

    Any number of processes may share the folder; a process that is killed leaves nothing that another one minds. A file
    may be deleted at any time, so readers open it for one read at a time: on POSIX an open file outlives its name, on
    Windows it cannot be deleted.

    Args:
        folder: made where missing.
        limit_bytes: of the files together with the space reserved for those under way.
    """

    def __init__(self, folder: Path, limit_bytes: int):
        self.folder = folder
        self.limit_bytes = limit_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the file of a key lies once it is here."""
        return self.folder / f"{key}.arrow"

    def ensure(self, key: str, room_bytes: int, fill: Callable[[Path], object]) -> Path:
        """The path of a file that is here, fetched where it is not.

        Args:
            key: of the file.
            room_bytes: needed at most while it is fetched.
            fill: writes the file at a path given to it; it may leave other files beside it, with longer names.

        Raises:
            ValueError: `room_bytes` is more than the limit.
            Exception: what `fill` raises.
        """
        path = self.path(key)
        if not path.exists():
            with self.lock(key):
                if not path.exists():
                    self._fetch(key, room_bytes, fill)
        return path

    def lock(self, name: str, timeout_s: float = -1) -> FileLock:
        """A lock among all processes that share the folder, freed when its process dies; -1: waits for ever."""
        return FileLock(self.folder / f"{name}.lock", timeout=timeout_s)

    def note(self, name: str) -> str | None:
        """A short text kept in the folder, if it is there; notes are not deleted."""
        try:
            return (self.folder / name).read_text()
        except FileNotFoundError:
            return None

    def write_note(self, name: str, text: str) -> None:
        """Keep a short text, whole or not at all."""
        partial = self.folder / f"{name}.{os.getpid()}-{threading.get_ident()}"
        partial.write_text(text)
        partial.replace(self.folder / name)

    def touch(self, path: Path) -> None:
        """Mark a file as used just now; raises FileNotFoundError."""
        if time.time() - path.stat().st_mtime > TOUCH_AFTER_S:
            os.utime(path)

    def used_bytes(self) -> int:
        """Bytes of the files that are here and of those under way; one that arrives meanwhile may count as both.

        Reservations are counted first: the other way round it would count as neither, and too much be promised.
        """
        return sum(_size(path) for pattern in ("*.reserved", "*.arrow") for path in self.folder.glob(pattern))

    def _fetch(self, key: str, room_bytes: int, fill: Callable[[Path], object]) -> None:
        partial = self.folder / f"{key}.partial"
        self._remove_leftovers(key)
        try:
            self._reserve(key, room_bytes)
            fill(partial)
            with open(partial, "r+b") as file:
                os.fsync(file.fileno())
            os.replace(partial, self.path(key))
        finally:
            self._remove_leftovers(key)

    def _reserve(self, key: str, room_bytes: int) -> None:
        """Take room for a fetch by deleting other files; waits while other fetches hold too much of it."""
        if room_bytes > self.limit_bytes:
            raise ValueError(
                f"shard_cache_gb: fetching one shard takes {room_bytes / 1e9:.3g} GB in {self.folder}, "
                f"the limit is {self.limit_bytes / 1e9:.3g} GB; raise it"
            )
        while True:
            with self.lock("room"):
                if self._make_room(room_bytes):
                    with open(self.folder / f"{key}.reserved", "wb") as file:
                        file.truncate(room_bytes)  # a hole: the size that `used_bytes` sees, no space on the disk
                    return
            time.sleep(_POLL_S)

    def _make_room(self, room_bytes: int) -> bool:
        """Delete the least recently used files as needed; False, with none deleted, where that is not enough."""
        if self.used_bytes() + room_bytes <= self.limit_bytes:
            return True
        self._drop_abandoned()
        reserved = sum(_size(path) for path in self.folder.glob("*.reserved"))
        if reserved + room_bytes > self.limit_bytes:
            return False
        for path in sorted(self.folder.glob("*.arrow"), key=_used_at):
            if self.used_bytes() + room_bytes <= self.limit_bytes:
                break
            try:
                path.unlink(missing_ok=True)
            except PermissionError:  # Windows: in use
                continue
        return self.used_bytes() + room_bytes <= self.limit_bytes

    def _drop_abandoned(self) -> None:
        """Delete what killed processes left: reservations that no process holds the lock for."""
        for reservation in self.folder.glob("*.reserved"):
            key = reservation.stem
            try:
                with self.lock(key, timeout_s=0):
                    self._remove_leftovers(key)
            except Timeout:
                continue

    def _remove_leftovers(self, key: str) -> None:
        """Whoever calls this holds the lock of the key, so no process that lives works on these."""
        for pattern in (f"{key}.partial*", f"{key}.reserved"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # deleted by another process
        return 0


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
