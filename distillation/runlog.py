"""The log of a run: one JSON object a line, mirrored in the progress bar."""

import json
import math
import time
from pathlib import Path

from tqdm import tqdm


def require_finite(step: int, name: str, value: float) -> None:
    """Raise a FloatingPointError that names the step for a value that is NaN or infinite."""
    if not math.isfinite(value):
        raise FloatingPointError(f"step {step}: {name} is {value}; lower the learning rate or look at the images")


class RunLog:
    """Appends rows to a JSONL file; rows beyond the step at which a run resumes are dropped.

    Args:
        path: the file.
        start: steps already taken.
    """

    def __init__(self, path: Path, start: int):
        kept = (
            [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= start]
            if path.exists()
            else []
        )
        path.write_text("".join(line + "\n" for line in kept))
        self.path = path
        self._step, self._time = start, time.perf_counter()

    def write(self, step: int, bar: tqdm, **values: float) -> None:
        """Add a row with the step, the values and steps per second since the row before.

        Raises:
            FloatingPointError: a value is not finite; names it and the step.
        """
        for name, value in values.items():
            require_finite(step, name, value)
        elapsed = time.perf_counter() - self._time
        row = {"step": step, **values, "steps_per_second": round((step - self._step) / elapsed, 3)}
        self._step, self._time = step, time.perf_counter()
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        bar.set_postfix_str(" ".join(f"{key} {value:.4g}" for key, value in values.items()))
