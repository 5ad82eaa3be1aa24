"""Turns Ctrl-C or SIGTERM into a request that a loop answers at its next step."""

import signal
import threading
from types import FrameType
from typing import Any


class StopRequest:
    """Inside `with StopRequest() as stop`, the first signal sets `stop.requested`; a second Ctrl-C interrupts at once.

    Outside the main thread, where Python delivers no signals, nothing is caught.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for kind in (signal.SIGINT, signal.SIGTERM):
                self._previous[kind] = signal.signal(kind, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for kind, handler in self._previous.items():
            signal.signal(kind, handler)

    def _note(self, kind: int, frame: FrameType | None) -> None:
        if self.requested and kind == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
