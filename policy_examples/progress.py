"""Reports the progress of a training run."""

import json
import time
from pathlib import Path

from tqdm import tqdm


class Log:
    """Progress on the terminal, one JSON line per `write` in a file."""

    def __init__(self, path: Path, start: int, steps: int, active: bool) -> None:
        self.active, self.start, self.began = active, start, time.monotonic()
        if not active:
            return
        lines = path.read_text().splitlines() if start and path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= start]
        path.write_text("".join(line + "\n" for line in kept))
        self.file = path.open("a", buffering=1)
        self.progress = tqdm(initial=start, total=steps, desc="fine-tuning", unit="step", smoothing=0.05)

    def write(self, step: int, loss: float) -> None:
        """Note the mean loss of the steps since the last line."""
        if not self.active:
            return
        rate = (step - self.start) / (time.monotonic() - self.began)
        self.file.write(json.dumps({"step": step, "loss": loss, "steps_per_second": round(rate, 3)}) + "\n")
        self.progress.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.progress.update(step - self.progress.n)

    def close(self) -> None:
        if self.active:
            self.file.close()
            self.progress.close()
