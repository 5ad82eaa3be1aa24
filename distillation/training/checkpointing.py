"""Leaving a run and coming back to it."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch

CHECKPOINT_FILE = "checkpoint.pt"
GRACE_SECONDS = 30


class Stateful(Protocol):
    """A part of a run whose state a checkpoint holds: model, optimizer, scheduler, scaler, average, queue."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag while its context lasts; a second SIGINT interrupts at once.

    Args:
        processes: how many run together; all of them make one.

    Attributes:
        requested: a signal came.
    """

    def __init__(self, processes: int = 1):
        self.requested = False
        self._signal = signal.SIGTERM
        self._group: Any = torch.distributed.new_group(backend="gloo") if processes > 1 else None

    def __enter__(self) -> "StopRequest":
        self._handlers = {number: signal.signal(number, self._request) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: object) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        os.write(2, b"\nstopping after this batch\n")  # print is not safe in a signal handler
        self._signal = signal.Signals(number)

    def agreed(self) -> bool:
        """Whether any of the processes was asked to stop; all of them must ask at the same step."""
        if self._group is not None:
            flag = torch.tensor(int(self.requested))
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX, self._group)
            self.requested = bool(flag)
        return self.requested

    def leave(self, message: str) -> NoReturn:
        """End the process with the shell's exit status for the signal, 128 + its number."""
        print(f"{self._signal.name}: {message}", flush=True)
        raise SystemExit(128 + self._signal)


def outlive_sigterm(worker: int) -> None:
    """`worker_init_fn` of a DataLoader: schedulers signal all processes of a run, some twice, and it must save first.

    GRACE_SECONDS after the first SIGTERM the worker ends.
    """

    def on_sigterm(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.alarm(GRACE_SECONDS)  # SIGALRM ends the process

    signal.signal(signal.SIGTERM, on_sigterm)


def save_checkpoint(
    folder: Path, step: int, seconds: float, facts: dict[str, str], parts: Mapping[str, Stateful | None]
) -> None:
    """Write all that the next step depends on; the file appears whole or not at all.

    Args:
        folder: where; the checkpoint before is replaced.
        step: steps taken.
        seconds: time that they took, over all runs.
        facts: what a run must share to resume this one.
        parts: name -> part of the run; None: a run without this part.

    Raises:
        OSError: the disk is full or the folder cannot be written; the checkpoint before is intact.
    """
    state = {"step": step, "seconds": seconds, "facts": facts}
    state |= {name: part.state_dict() for name, part in parts.items() if part is not None}
    partial = folder / f".{CHECKPOINT_FILE}.partial"
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / CHECKPOINT_FILE)
    except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
        partial.unlink(missing_ok=True)
        raise OSError(
            f"output: step {step} could not be saved in {folder}: {error}; what was saved before is intact, "
            "make room and repeat the command to resume from it"
        ) from error


def load_checkpoint(folder: Path, facts: dict[str, str], parts: Mapping[str, Stateful | None]) -> tuple[int, float]:
    """Restore the state of `save_checkpoint`; returns (steps taken, seconds they took), (0, 0) without a checkpoint.

    Raises:
        ValueError: the folder holds a run with other settings; the message names them.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    found = state.get("facts", {})
    differing = [
        f"{key} was {found.get(key)}, is {facts.get(key)}"
        for key in sorted(found.keys() | facts.keys())
        if found.get(key) != facts.get(key)
    ]
    if differing:
        raise ValueError(
            f"output: {folder} holds a run with other settings ({'; '.join(differing)}); "
            "repeat its settings to resume it, or give another --output"
        )
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state[name])
    return state["step"], state["seconds"]
