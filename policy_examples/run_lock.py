"""Who may write to the folder of a run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xdistill_encoder.file_locks import can_lock


def is_first_process() -> bool:
    """Whether this is the only process, or the first of torchrun's, which writes the files of a run."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def sole_run(folder: Path) -> Iterator[None]:
    """Hold a run's folder, which another process may not write to meanwhile; of torchrun's processes the first does.

    Raises:
        ValueError: another process holds it.
    """
    from filelock import FileLock, Timeout

    if not is_first_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not can_lock(folder / "run.lock"):
        print(f"{folder} lies on a file system without locks: nothing keeps a second process from writing there")
        yield
        return
    try:
        lock = FileLock(folder / "run.lock").acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"output: another process runs in {folder}; wait for it, or name another folder.") from error
    with lock:
        yield
