"""Watches for numbers that are not finite without waiting for the device at every step."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from distillation.training.runlog import write_text

ADVICE = "give another --output with a lower --lr or --clip; what was saved before stays"


class Health:
    """Remembers on the device the first step whose loss was not finite; looks at weights before they are kept.

    Args:
        accelerator: asks all processes.
        folder: where the images of such a step are listed.
        images_of: step -> indices of its images.
    """

    def __init__(self, accelerator: Accelerator, folder: Path, images_of: Callable[[int], list[int]]):
        self.accelerator = accelerator
        self.folder = folder
        self.images_of = images_of
        self._first = torch.full((), -1, dtype=torch.long, device=accelerator.device)

    def watch(self, step: int, loss: Tensor) -> None:
        """Look at the () loss of this process at a step."""
        failed = (self._first < 0) & ~torch.isfinite(loss)
        self._first = torch.where(failed, step, self._first)

    def require(self) -> None:
        """Raise where a step since the last call failed; all processes must ask at the same step.

        Raises:
            FloatingPointError: names the first such step and its images.
        """
        firsts = cast(Tensor, self.accelerator.gather(self._first.view(1)))
        failed = firsts[firsts >= 0]  # a process whose own loss was finite fails a step later, by the others' gradient
        if not len(failed):
            return
        step = int(failed.min())
        images = self.images_of(step)
        path = self.folder / f"not_finite_at_step_{step}.json"
        if self.accelerator.is_main_process:
            write_text(path, json.dumps({"step": step, "images": images}))
        first = ", ".join(map(str, images[:8]))
        raise FloatingPointError(
            f"step {step}: the loss is not finite; images {first}{', ...' if len(images) > 8 else ''} ({path} lists "
            f"all); look at them, or {ADVICE}"
        )

    def require_weights(self, step: int, module: nn.Module) -> None:
        """Raise where a weight or a statistic of a module is not finite; all processes must ask at the same step.

        Args:
            step: the one that was taken last, whose gradient no later loss has shown yet.

        Raises:
            FloatingPointError: names the step and a tensor.
        """
        tensors = {key: value for key, value in module.state_dict().items() if value.is_floating_point()}
        largest = torch.stack([value.abs().amax().float() for value in tensors.values()])  # NaN where one is
        if cast(Tensor, self.accelerator.gather(torch.isfinite(largest).all().view(1))).all():
            return
        broken = [key for key, finite in zip(tensors, torch.isfinite(largest).tolist(), strict=True) if not finite]
        raise FloatingPointError(
            f"step {step}: {len(broken)} of {len(tensors)} tensors of weights are not finite, such as "
            f"{', '.join(broken[:1]) or 'one of another process'}, though the loss was; {ADVICE}"
        )
