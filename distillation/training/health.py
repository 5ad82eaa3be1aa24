"""Watches for a loss that is not finite without waiting for the device at every step."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor

from distillation.training.runlog import write_text


class Health:
    """Remembers on the device the first step whose loss was not finite.

    Args:
        accelerator: asks all processes.
        folder: where the images of such a step are listed.
    """

    def __init__(self, accelerator: Accelerator, folder: Path):
        self.accelerator = accelerator
        self.folder = folder
        self._first = torch.full((), -1, dtype=torch.long, device=accelerator.device)

    def watch(self, step: int, loss: Tensor) -> None:
        """Look at the () loss of this process at a step."""
        failed = (self._first < 0) & ~torch.isfinite(loss)
        self._first = torch.where(failed, step, self._first)

    def require(self, images_of: Callable[[int], list[int]]) -> None:
        """Raise where a step since the last call failed; all processes must ask at the same step.

        Args:
            images_of: step -> indices of its images.

        Raises:
            FloatingPointError: names the step and its images.
        """
        step = int(cast(Tensor, self.accelerator.gather(self._first.view(1))).max())
        if step < 0:
            return
        images = images_of(step)
        path = self.folder / f"not_finite_at_step_{step}.json"
        if self.accelerator.is_main_process:
            write_text(path, json.dumps({"step": step, "images": images}))
        first = ", ".join(map(str, images[:8]))
        raise FloatingPointError(
            f"step {step}: the loss is not finite; images {first}{', ...' if len(images) > 8 else ''} ({path} lists "
            "all); look at them, or lower lr, or set clip; what was saved before stays"
        )
