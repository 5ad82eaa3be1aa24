"""What a run would take on this machine, from short measurements."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from distillation.cache.plan import delivery_rate, duration
from distillation.students import Student
from distillation.training.batches import Curriculum
from distillation.training.objective import Objective, imitation_loss
from distillation.training.supervision import Supervision

MEASURING_SECONDS = 40


@dataclass(frozen=True)
class Plan:
    """Rates of the parts of a run on one process.

    Attributes:
        decoding: views per second that the workers deliver.
        teaching: targets per second, computed or read.
        learning: {side of the student's views in px: training steps' images per second}.
        images_at: {side in px: images that the run shows at it}.
        shared_cores: the workers take their time from the cores that also compute.
        disk_bytes: what the output folder will hold.
    """

    decoding: float
    teaching: float
    learning: dict[int, float]
    images_at: dict[int, int]
    shared_cores: bool
    disk_bytes: int

    def rate(self, size_px: int) -> float:
        """Images per second of the whole at a size: parts that share a device add their times, others overlap."""
        computing = 1 / self.teaching + 1 / self.learning[size_px]
        return 1 / (computing + 1 / self.decoding if self.shared_cores else max(computing, 1 / self.decoding))

    @property
    def hours(self) -> float:
        """Of the whole run."""
        return sum(count / self.rate(size_px) for size_px, count in self.images_at.items()) / 3600

    def describe(self) -> str:
        """For people."""
        lines = [f"decoding   {self.decoding:8,.0f} img/s", f"targets    {self.teaching:8,.0f} img/s"]
        for size_px, count in self.images_at.items():
            whole = self.rate(size_px)
            lines.append(f"student    {self.learning[size_px]:8,.0f} img/s at {size_px} px, {count:,} images")
            bound = ", bound by decoding" if not self.shared_cores and whole >= 0.99 * self.decoding else ""
            lines.append(f"together   {whole:8,.0f} img/s{bound}")
        lines.append(f"disk       {self.disk_bytes / 1e6:8,.0f} MB for checkpoint and encoder")
        lines.append(f"time       {duration(self.hours)} on one process")
        return "\n".join(lines)


def measure_plan(
    accelerator: Accelerator,
    curriculum: Curriculum,
    batches: Iterator[dict[str, Tensor]],
    supervision: Supervision,
    student: Student,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    averaged: bool,
) -> Plan:
    """Time the parts of a run, which are used up by it, for about a minute.

    Args:
        curriculum: of the run.
        batches: micro-batches of the run's views, of any one size.
        student: on the accelerator's device.
        averaged: the run keeps a moving average of the student.
    """
    device = accelerator.device
    images_at = Counter[int]()
    for step in range(0, curriculum.steps, curriculum.steps_per_epoch):
        steps = min(curriculum.steps_per_epoch, curriculum.steps - step)
        images_at[curriculum.image_size(curriculum.epoch(step))] += steps * curriculum.batch_size
    seconds = MEASURING_SECONDS / (2 + len(images_at))

    batch, batches_per_second = delivery_rate(batches, 1, seconds)
    count = len(batch["index"])
    decoding = count * batches_per_second
    with accelerator.autocast():
        teaching = measure_rate(lambda: supervision(batch, 0), count, seconds, device)
        targets, maps = supervision(batch, 0)
    model, optimizer = accelerator.prepare(student, optimizer)

    def learn(shown: torch.Tensor) -> None:
        accelerator.backward(imitation_loss(model, objective, shown, targets, maps))
        optimizer.step()
        optimizer.zero_grad()

    learning = {}
    for size_px in images_at:
        shown = torch.zeros(count, 3, size_px, size_px, dtype=torch.uint8, device=device)
        learning[size_px] = measure_rate(lambda shown=shown: learn(shown), count, seconds, device)
    weights = sum(parameter.numel() for parameter in student.parameters())
    queue = sum(buffer.numel() for buffer in objective.buffers())
    # Weights, AdamW's two moments and the average in float32, twice while a checkpoint replaces the one before.
    disk_bytes = 2 * 4 * ((4 if averaged else 3) * weights + queue) + 2 * weights  # the encoder in float16
    return Plan(decoding, teaching, learning, dict(images_at), device.type == "cpu", disk_bytes)


def measure_rate(work: Callable[[], object], images: int, seconds: float, device: torch.device) -> float:
    """Images per second of a call on so many of them, repeated for about `seconds` after one call to warm up."""
    work()
    synchronize(device)
    calls, began = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - began < seconds:
        work()
        synchronize(device)
        calls += 1
    return calls * images / max(time.perf_counter() - began, 1e-9)


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
