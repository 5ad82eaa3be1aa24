"""The log of a run: one JSON object a line, mirrored in the progress bar and in trackers."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import Accelerator
from tqdm import tqdm

Batch = TypeVar("Batch")
LOG_FILE = "log.jsonl"
"""Of a run's folder: the rows of a `RunLog`."""


class RunLog:
    """Appends rows to a JSONL file; rows beyond the step at which a run resumes are dropped.

    The main process writes; on others nothing happens. A row holds, beside what it is given, images per second, the
    share of the time spent waiting for data and, on a GPU, the most memory in use in GB, since the row before.

    Args:
        path: the file.
        accelerator: says which process is the main one, and holds the trackers.
        batch_size: images per step.
        start, steps: steps already taken, and those of the whole run.
    """

    def __init__(self, path: Path, accelerator: Accelerator, batch_size: int, start: int, steps: int):
        self.path = path
        self.accelerator = accelerator
        self.batch_size = batch_size
        self.bar = tqdm(
            total=steps * batch_size,
            initial=start * batch_size,
            unit="img",
            unit_scale=True,
            disable=not accelerator.is_main_process,
        )
        if accelerator.is_main_process and path.exists():
            write_text(path, "".join(f"{json.dumps(row)}\n" for row in read_rows(path) if row["step"] <= start))
        self._step, self._time, self._waited = start, time.perf_counter(), 0.0

    def wait_for(self, batches: Iterator[Batch]) -> Batch:
        """The next batch, with the time until it is there."""
        asked = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - asked
        return batch

    def write(self, step: int, **values: float) -> None:
        """Add a row for a step."""
        elapsed = time.perf_counter() - self._time
        speed = {
            "images_per_second": float(f"{(step - self._step) * self.batch_size / elapsed:.4g}"),
            "data_wait_share": round(self._waited / elapsed, 3),
        }
        if self.accelerator.device.type == "cuda":
            speed["gpu_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
            torch.cuda.reset_peak_memory_stats()
        self._step, self._time, self._waited = step, time.perf_counter(), 0.0
        if self.accelerator.is_main_process:
            append_line(self.path, json.dumps({"step": step, **values, **speed}))
            shown = values | {key: value for key, value in speed.items() if key != "images_per_second"}
            self.bar.set_postfix_str(" ".join(f"{key} {value:.4g}" for key, value in shown.items()))
        self.accelerator.log(values | speed, step=step)

    def advance(self) -> None:
        """Move the progress bar by a step."""
        self.bar.update(self.batch_size)

    def skip(self, seconds: float) -> None:
        """Leave out time in which nothing was learned."""
        self._time += seconds

    def close(self) -> None:
        """End the progress bar."""
        self.bar.close()


def read_rows(path: Path) -> list[dict[str, float]]:
    """Rows of a JSONL log; a last line that was cut off while it was written is left out."""
    rows = []
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            rows.append(json.loads(line))
    return rows


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, which is made if it is not there; raises an OSError that names the file."""
    try:
        with path.open("a") as file:
            file.write(line + "\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Replace a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
