"""Runs that the distillation bench compares, each in a process of its own, seen from outside."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).resolve().parent / "peers"
PRINTED = "printed.txt"


@dataclass
class Run:
    """What was seen of a run from outside.

    Attributes:
        rows: of its log.
        first_step_s: from the start of the process until the first row.
        memory: (steps taken, MB resident in the process with its children), twice a second.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    first_step_s: float = float("nan")
    memory: list[tuple[int, float]] = field(default_factory=list)

    def images_per_second(self, skip: int) -> float:
        """Rate over the rows after the first `skip`; all rows stand for the same number of steps."""
        return statistics.harmonic_mean([row["images_per_second"] for row in self.rows[skip:]])

    def data_wait_share(self, skip: int) -> float:
        """Share of the time spent waiting for data, over the same rows."""
        return statistics.mean([row["data_wait_share"] for row in self.rows[skip:]])


def distill(output: Path, options: list[str]) -> Run:
    """`xdistill distill` with its log in a folder that does not exist yet.

    Raises:
        RuntimeError: it failed; the message holds the end of what it printed.
    """
    log, run, sampled = output / "out" / "log.jsonl", Run(), 0.0
    start = time.perf_counter()
    with start_command(output, sys.executable, ["-m", "distillation.train", *options]) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(0.02)
            if not run.rows and log.exists():
                run.first_step_s = time.perf_counter() - start
                run.rows = read_log(log)
            if time.perf_counter() - sampled > 0.5:
                sampled = time.perf_counter()
                steps = int(read_log(log)[-1]["step"]) if run.rows else 0
                run.memory.append((steps, resident_mb(watched)))
    require_success(process, output)
    run.rows = read_log(log)
    return run


def build_targets(output: Path, options: list[str]) -> list[float]:
    """`xdistill targets`; the times in s at which its shards were finished, ascending.

    Raises:
        RuntimeError: it failed; the message holds the end of what it printed.
    """
    with start_command(output, sys.executable, ["-m", "distillation.targets", *options]) as process:
        process.wait()
    require_success(process, output)
    return sorted(shard.stat().st_mtime_ns / 1e9 for shard in output.rglob("shard-*.parquet"))


def lightly_distill(python: Path, output: Path, options: list[str]) -> dict[str, Any]:
    """peers/lightly_distill.py in the environment of a Python; what it prints last.

    Raises:
        RuntimeError: it failed; the message holds the end of what it printed.
    """
    with start_command(output, str(python), [str(PEERS / "lightly_distill.py"), *options]) as process:
        process.wait()
    require_success(process, output)
    return json.loads(printed(output).splitlines()[-1])


def start_command(output: Path, python: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start a process that writes to `output`, a folder that does not exist yet, from the root of the checkout."""
    output.mkdir(parents=True)
    environment = os.environ | {"HF_DATASETS_CACHE": str(output.parent / "arrow"), "HF_HUB_OFFLINE": "1"}
    command = [python, *arguments, "--output", str(output / "out")]
    with (output / PRINTED).open("wb") as file:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)


def printed(output: Path) -> str:
    """What a process printed."""
    return (output / PRINTED).read_text(errors="replace")


def require_success(process: subprocess.Popen[bytes], output: Path) -> None:
    """Raise a RuntimeError that shows what a failed process printed last."""
    if process.returncode != 0:
        raise RuntimeError(f"{output.name} ended with status {process.returncode}:\n{printed(output)[-3000:]}")


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a log that may be growing."""
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def resident_mb(process: psutil.Process) -> float:
    """Resident memory of a process with its children in MB; what they share counts for each."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6
