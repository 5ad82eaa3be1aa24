"""Leaving a run and coming back to it."""

import os
import signal
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

CHECKPOINT_FILE = "checkpoint.pt"
MAY_DIFFER = ("output", "workers", "log_every", "save_every", "name", "images", "teacher")
"""Settings that do not change the result. Images and teacher may lie elsewhere: their fingerprints are compared."""


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag while its context lasts; a second SIGINT interrupts at once.

    Attributes:
        requested: a signal came.
    """

    def __init__(self):
        self.requested = False
        self._signal = signal.SIGTERM

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

    def leave(self, message: str) -> NoReturn:
        """End the process with the shell's exit status for the signal, 128 + its number."""
        print(f"{self._signal.name}: {message}", flush=True)
        raise SystemExit(128 + self._signal)


def outlive_one_sigterm(worker: int) -> None:
    """`worker_init_fn` of a DataLoader: `timeout` and schedulers signal all processes of a run, which must save first.

    A second SIGTERM, the DataLoader's own, ends the worker.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))


def save_checkpoint(
    folder: Path,
    step: int,
    config: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """Write all that the next step depends on; the file appears whole or not at all."""
    state = {
        "step": step,
        "config": {key: str(value) for key, value in config.items()},
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
    }
    partial = folder / f".{CHECKPOINT_FILE}.partial"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / CHECKPOINT_FILE)


def load_checkpoint(
    folder: Path,
    config: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
) -> int:
    """Restore the state of `save_checkpoint`; returns the steps already taken, 0 where there is no checkpoint.

    Raises:
        ValueError: the folder holds a run with other settings; the message names them.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    differing = [
        f"{key} was {state['config'].get(key)}, is {value}"
        for key, value in config.items()
        if key not in MAY_DIFFER and state["config"].get(key) != str(value)
    ]
    if differing:
        raise ValueError(
            f"output: {folder} holds a run with other settings ({'; '.join(differing)}); "
            "repeat its settings to resume it, or give another --output"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    return state["step"]
