"""A second try for what a network may refuse."""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from xdistill_encoder.hub import on_one_line

Result = TypeVar("Result")
_HOPELESS = (FileNotFoundError, PermissionError, NotImplementedError, MemoryError)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Patience:
    """How often something is tried; the waits between the tries double."""

    attempts: int = 6
    """1 or more."""
    first_wait_s: float = 1.0
    """Between the first and the second try."""


def retry(action: Callable[[], Result], what: str, patience: Patience) -> Result:
    """The result of an action, tried again after any error that may pass.

    Args:
        action: safe to repeat.
        what: it does, for the message: "fetching s3://...".
        patience: how often.

    Raises:
        FileNotFoundError, PermissionError: at once, as more tries do not help.
        OSError: at once where the local disk is full; else the last try failed too; says what and why.
    """
    for attempt in range(1, patience.attempts + 1):
        try:
            return action()
        except _HOPELESS:
            raise
        except Exception as error:  # each storage, and each file format, has errors of its own
            if isinstance(error, OSError) and error.errno in _DISK_FULL:
                raise OSError(error.errno, f"{what} failed: the local disk is full") from error
            if attempt == patience.attempts:
                why = on_one_line(error)
                raise OSError(f"{what} failed {attempt} times, at last with: {why}") from error
            time.sleep(patience.first_wait_s * 2 ** (attempt - 1))
    raise ValueError(f"attempts: expected 1 or more, got {patience.attempts}")
