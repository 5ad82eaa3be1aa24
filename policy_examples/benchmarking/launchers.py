"""Runs commands side by side on this machine."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 300
"""How long a stopped process may take to save before it is killed."""


@dataclass(frozen=True)
class Job:
    """A command whose output goes to a file."""

    name: str
    command: tuple[str, ...]
    log: Path
    """What it prints is appended."""


@dataclass(frozen=True)
class Finished:
    """A job that came to its end."""

    name: str
    status: int
    """The exit status; negative is the signal that killed it."""


def run_local(jobs: Sequence[Job], at_once: int, stopping: Callable[[], bool]) -> Iterator[Finished]:
    """Run the jobs, at most `at_once` of them at a time, in sessions of their own; yields each as it finishes.

    GPUs are dealt out in turn. Once `stopping()` says so, nothing starts and what runs is asked to end with SIGTERM.
    """
    waiting, running, gpus = list(jobs), dict[int, tuple[Job, subprocess.Popen]](), visible_gpus()
    deadline = None
    try:
        while running or (waiting and not stopping()):
            if stopping() and deadline is None:
                deadline = time.monotonic() + GRACE_S
                _signal_all(running, signal.SIGTERM)
            if deadline is not None and time.monotonic() > deadline:
                _signal_all(running, signal.SIGKILL)
            for slot in [free for free in range(at_once) if free not in running] if not stopping() else []:
                if waiting:
                    job = waiting.pop(0)
                    running[slot] = job, _start(job, at_once, gpus[slot % len(gpus)] if gpus else None)
            for slot, (job, process) in list(running.items()):
                if process.poll() is not None:
                    del running[slot]
                    yield Finished(job.name, process.returncode)
            time.sleep(0.05)
    finally:
        _signal_all(running, signal.SIGKILL)  # leaving by an exception
        for _, process in running.values():
            process.wait()


def _start(job: Job, at_once: int, gpu: str | None) -> subprocess.Popen:
    environment = os.environ | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
    if at_once > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // at_once)))
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        return subprocess.Popen(
            job.command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _signal_all(running: dict[int, tuple[Job, subprocess.Popen]], kind: signal.Signals) -> None:
    for _, process in running.values():
        if process.poll() is not None:
            continue
        if kind == signal.SIGKILL:
            os.killpg(process.pid, kind)  # its helper processes too
        else:
            process.send_signal(kind)


def note_on_sharing(jobs: int, gpus: Sequence[str]) -> str | None:
    """What to know where more jobs than GPUs run at once without MPS, whose daemon keeps pipes in a folder."""
    pipes = os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")
    if not gpus or jobs <= len(gpus) or os.path.exists(pipes):
        return None
    return (
        "runs that share a GPU compute in turns; stop here, start `nvidia-cuda-mps-control -d` first, and they compute "
        "side by side"
    )


def visible_gpus() -> list[str]:
    """The ids that CUDA_VISIBLE_DEVICES may take, one GPU each."""
    import torch

    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name]
    return [str(index) for index in range(torch.cuda.device_count())]
