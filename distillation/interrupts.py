"""Signals that ask a run to stop."""

import os
import signal
import sys
import threading
import time
from typing import Any, NoReturn

import torch

WATCH_SECONDS = 1.0


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag while its context lasts; a second SIGINT interrupts at once.

    Args:
        processes: how many run together; all of them make one.

    Attributes:
        requested: a signal came.
    """

    def __init__(self, processes: int = 1):
        self.requested = False
        self._owner = os.getpid()
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
        if os.getpid() == self._owner:  # workers inherit the handler
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


def leave_signals_to_the_main_process(worker: int) -> None:
    """`worker_init_fn` of a DataLoader: Ctrl-C in a terminal and a scheduler's SIGTERM reach all processes of a run,
    and the main one decides what they mean."""
    outlive_sigterm(worker)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def outlive_sigterm(worker: int) -> None:
    """`worker_init_fn` of a DataLoader: schedulers signal all processes of a run, some twice, and it must save first.

    The worker ends when its parent is gone; where it was forked on Linux, also by a SIGTERM of its parent.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # kept for `_watch`, which learns who sent it
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> NoReturn:
    """End this process when its parent asks for it or is gone, whatever its other threads wait for."""
    while os.getppid() == parent:
        if sys.platform == "linux":
            received = signal.sigtimedwait({signal.SIGTERM}, WATCH_SECONDS)
            if received is not None and received.si_pid == parent:
                os._exit(0)
        else:
            time.sleep(WATCH_SECONDS)
    os._exit(1)
