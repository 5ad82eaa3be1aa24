"""Who may write to the folder of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from distillation.training.checkpointing import make_folder
from xdistill_encoder.file_locks import can_lock

LOCK_FILE = "run.lock"


@contextmanager
def sole_run(folder: Path, writes: bool) -> Iterator[None]:
    """Make a run's folder and hold it, so that no other run writes there meanwhile.

    Args:
        writes: this process writes the files of its run, and holds the folder for all others of it.

    Raises:
        ValueError: the folder cannot be made, or another run holds it.
    """
    make_folder(folder)
    if not writes:
        yield
        return
    if not can_lock(folder / LOCK_FILE):
        print(f"{folder} lies on a file system without locks: nothing keeps a second run from writing there")
        yield
        return
    try:
        lock = FileLock(folder / LOCK_FILE).acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"output: another process trains in {folder}; wait for it, or name another --output"
        ) from error
    with lock:
        yield
