"""Reports the progress of a training run."""

import json
import math
import time
from pathlib import Path

from tqdm import tqdm


def require_finite(step: int, loss: float) -> None:
    """Raise a FloatingPointError that names the step for a loss of NaN or infinity."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"step {step}: loss is {loss}; lower the learning rate or look at the demonstrations.")


class Log:
    """Progress on the terminal, one JSON line per `write` in a file."""

    def __init__(self, path: Path, start: int, steps: int, active: bool) -> None:
        self.active, self.start, self.began = active, start, time.monotonic()
        if not active:
            return
        lines = path.read_text().splitlines() if start and path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= start]
        path.write_text("".join(line + "\n" for line in kept))
        self.path = path
        self.progress = tqdm(initial=start, total=steps, desc="fine-tuning", unit="step", smoothing=0.05)

    def write(self, step: int, loss: float) -> None:
        """Note the mean loss of the steps since the last line; raises FloatingPointError if it is not finite."""
        require_finite(step, loss)
        if not self.active:
            return
        rate = (step - self.start) / (time.monotonic() - self.began)
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "loss": loss, "steps_per_second": round(rate, 3)}) + "\n")
        self.progress.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.progress.update(step - self.progress.n)

    def close(self) -> None:
        if self.active:
            self.progress.close()
