"""Reports the progress of a training run."""

import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from policy_examples.whole_files import write_text


def require_finite(step: int, losses: list[Tensor]) -> list[Tensor]:
    """The losses as they are; raises FloatingPointError that names the step where one is NaN or infinite."""
    mean = torch.stack(losses).mean().item() if losses else 0.0
    if not math.isfinite(mean):
        raise FloatingPointError(f"step {step}: loss is {mean}; lower the learning rate or look at the demonstrations.")
    return losses


class Log:
    """Progress on the terminal, one JSON line per `write` in a file.

    Args:
        start: step from which the run goes on; lines after it are forgotten, the run comes to them again.
        active: whether this process reports; the others only check.
    """

    def __init__(self, path: Path, start: int, steps: int, active: bool) -> None:
        self.active, self.noted, self.clock = active, start, time.monotonic()
        if not active:
            return
        lines = path.read_text().splitlines(keepends=True) if start and path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]  # killed processes may leave a part
        write_text(path, "".join(line for line in whole if json.loads(line)["step"] <= start))
        self.path = path
        self.progress = tqdm(initial=start, total=steps, desc="fine-tuning", unit="step", smoothing=0.05)

    def write(self, step: int, epoch: float, loss: float, lr: float) -> None:
        """Note the mean loss of the steps since the last line; raises FloatingPointError if it is not finite."""
        require_finite(step, [torch.tensor(loss)])
        if not self.active:
            return
        rate = (step - self.noted) / (time.monotonic() - self.clock)
        line = {"step": step, "epoch": round(epoch, 2), "loss": loss, "lr": lr, "steps_per_second": round(rate, 3)}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.progress.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.progress.update(step - self.progress.n)
        self.noted, self.clock = step, time.monotonic()

    def pause(self, since: float) -> None:
        """Leave the time since then, of `time.monotonic()`, out of the rate."""
        self.clock += time.monotonic() - since

    def close(self) -> None:
        if self.active:
            self.progress.close()
