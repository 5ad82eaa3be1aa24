"""Plays episodes side by side, each environment in a process of its own."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import resource_tracker
from types import ModuleType

from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from policy_examples.envs.chunked import ChunkedEnv, Interface
from policy_examples.envs.tasks import TaskConfig, open_environment, suite_of

SideBySide = SyncVectorEnv | AsyncVectorEnv


@contextmanager
def open_vector(task: TaskConfig, interface: Interface, processes: int) -> Iterator[SideBySide]:
    """As many `ChunkedEnv` as processes, side by side; 0 or 1: one, in this process.

    A step plays a chunk in each; where one's episode has ended, the next step begins its next instead. Observations are
    overwritten by the next step. No process is left after the with statement, however it is left.

    Raises:
        ValueError: unknown task or setting, a policy of other sizes, fewer than 0 processes.
        ChildProcessError: a process died.
    """
    if processes < 0:
        raise ValueError(f"processes: expected 0 or more, got {processes}.")
    suite_of(task.task)  # an unknown task fails here, not in every process
    if "point_cloud" not in interface.reads:
        task = replace(task, points=None)
    make = partial(ChunkedEnv, partial(open_environment, task), interface, task.image_size_px, task.points)
    if processes <= 1:
        with closing(SyncVectorEnv([make], copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)) as alone:
            yield alone
        return
    vector: AsyncVectorEnv | None = None
    try:
        vector = start(make, processes)
        yield vector
        vector.close()
    except (EOFError, ConnectionError) as error:
        raise_deaths(task, vector, error)
        raise  # another pipe or connection of the caller's
    finally:
        if vector is not None and not vector.closed:
            terminate(vector)


def start(make: partial[ChunkedEnv], processes: int) -> AsyncVectorEnv:
    """The processes, deaf to Ctrl-C, which a terminal sends to all of them, and which this process answers.

    Python would first run the caller's main module in each: torch, mostly, seconds and hundreds of MB for nothing.
    """
    main = sys.modules["__main__"]
    resource_tracker.ensure_running()  # its start would unblock the signal again
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the processes inherit it
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        return AsyncVectorEnv([make] * processes, copy=False, context="spawn", autoreset_mode=AutoresetMode.NEXT_STEP)
    finally:
        sys.modules["__main__"] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def terminate(vector: AsyncVectorEnv) -> None:
    """End the processes, whatever they are doing."""
    for process in vector.processes:
        process.terminate()
    for process in vector.processes:
        process.join()
    for pipe in vector.parent_pipes:
        if pipe is not None:  # gymnasium drops the pipe of an environment that raised
            pipe.close()
    vector.closed = True


def raise_deaths(task: TaskConfig, vector: AsyncVectorEnv | None, error: Exception) -> None:
    """Raise a ChildProcessError if processes are gone."""
    advice = "What they printed says why; if memory ran out, ask for fewer processes."
    if vector is None:
        raise ChildProcessError(f"processes: those of {task.task} died as they started. {advice}") from error
    for process in vector.processes:
        process.join(timeout=0.2)  # a pipe breaks a little before its process is gone
    codes = [f"exit code {process.exitcode}" for process in vector.processes if process.exitcode is not None]
    if codes:
        died = f"{len(codes)} of {len(vector.processes)} of {task.task} died ({', '.join(codes)})"
        raise ChildProcessError(f"processes: {died}. {advice}") from error
