"""Runs commands side by side on the machines of a Ray cluster."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policy_examples.benchmarking.launchers import GRACE_S, Finished, Job

LEAVING_S = 30
"""How long an error or a second Ctrl-C waits for jobs to end."""


def run_on_ray(
    jobs: Sequence[Job],
    cpus_per_job: float,
    gpus_per_job: float | None,
    stop_file: Path,
    stopping: Callable[[], bool],
) -> Iterator[Finished]:
    """Run the jobs wherever the cluster has room; yields each as it finishes.

    Every machine needs the same Python, and this working folder, the logs and `stop_file` at the same paths. A fraction
    of a GPU puts several jobs on one; None is one GPU a job where the cluster has any. Once `stopping()` says so,
    `stop_file` appears and every machine asks its jobs to end.

    Raises:
        ValueError: Ray is not installed, no machine of the cluster has what a job asks for, or it asks for no GPU where
            there are some.
    """
    stop_file.parent.mkdir(parents=True, exist_ok=True)
    stop_file.unlink(missing_ok=True)
    with connected() as ray:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = share_of_gpus(gpus_per_job, machines)
        _require_room(machines, cpus_per_job, gpus)
        remote = ray.remote(num_cpus=cpus_per_job, num_gpus=gpus, max_retries=0)(_job_runner())
        running = {
            remote.remote(job.command, str(Path.cwd()), str(job.log), str(stop_file), GRACE_S): job for job in jobs
        }
        try:
            while running:
                if stopping():
                    stop_file.touch()
                for reference in ray.wait(list(running), timeout=0.2)[0]:
                    job = running.pop(reference)
                    try:
                        status = ray.get(reference)
                    except ray.exceptions.RayError as error:  # the machine is gone, or out of memory
                        _append(job.log, f"ray: {error}")
                        status = 1
                    if status is not None:
                        yield Finished(job.name, status)
        finally:
            if running:  # leaving by an exception
                stop_file.touch()
                ray.wait(list(running), num_returns=len(running), timeout=LEAVING_S)
            stop_file.unlink(missing_ok=True)


@contextmanager
def connected() -> Iterator[Any]:
    """Ray, connected to the cluster of RAY_ADDRESS, or to one that lasts on this machine as long as the context.

    SIGTERM stays with the caller.

    Raises:
        ValueError: Ray is not installed.
    """
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise ValueError("launcher: 'ray' needs the package ray; pip install ray, or choose 'local'.") from error
    if ray.is_initialized():  # by whoever called
        yield ray
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # ray.init puts its own, which exits at once
    try:
        yield ray
    finally:
        ray.shutdown()


def _job_runner() -> Callable[[tuple[str, ...], str, str, str, float], int | None]:
    """A closure, which Ray sends by value: a machine that runs it needs nothing of ours but the command."""

    def run(command: tuple[str, ...], folder: str, log: str, stop_file: str, grace_s: float) -> int | None:
        import os
        import signal
        import subprocess
        import time
        from pathlib import Path

        if Path(stop_file).exists():
            return None
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as output:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        deadline = None
        while process.poll() is None:
            time.sleep(0.2)
            if deadline is None and Path(stop_file).exists():
                process.terminate()
                deadline = time.monotonic() + grace_s
            if deadline is not None and time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode

    return run


def share_of_gpus(asked: float | None, machines: Sequence[Mapping[str, float]]) -> float:
    """GPUs of a job on machines of such resources: what was asked for, else 1 where some have GPUs.

    A job of 0 GPUs sees all of its machine's, or none, as the version of Ray goes.

    Raises:
        ValueError: 0 is asked for where there are GPUs.
    """
    some = any(machine.get("GPU", 0) for machine in machines)
    if asked == 0 and some:
        raise ValueError(
            "ray_gpus: expected a share above 0, such as 1 or 0.25, because the cluster has GPUs: with 0, every run "
            "would take the first GPU of its machine, or none."
        )
    return float(some) if asked is None else asked


def _require_room(machines: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> None:
    if not any(machine.get("CPU", 0) >= cpus and machine.get("GPU", 0) >= gpus for machine in machines):
        found = "; ".join(f"{machine.get('CPU', 0):g} CPUs, {machine.get('GPU', 0):g} GPUs" for machine in machines)
        raise ValueError(
            f"launcher: expected a machine with {cpus:g} CPUs and {gpus:g} GPUs for a run, the cluster has {found}; "
            "lower --ray-cpus or --ray-gpus."
        )


def _append(log: Path, line: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(line + "\n")
