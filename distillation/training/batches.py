"""In which order a run sees its images, as a pure function of the step."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from distillation.training.schedule import image_size_at

LOOK_AHEAD = 32768
Key = tuple[int, int, int]
"""(image, view number, student side in px): what a `Views` item is a function of."""


@dataclass(frozen=True)
class Curriculum:
    """Length of a run, and what it shows when.

    Args:
        images: number of images.
        batch_size: images per step, over all processes.
        epochs: passes over the images; what does not fill a batch is left out of an epoch.
        max_steps: end after so many steps, whatever the epochs are; None: no such end.
        views_per_image: views that are used in turn, epoch after epoch; None: other views every epoch.
        first_px, last_px: side of the student's views in the first and the last epochs.

    Raises:
        ValueError: the images do not fill one batch.
    """

    images: int
    batch_size: int
    epochs: int
    max_steps: int | None
    views_per_image: int | None
    first_px: int
    last_px: int

    def __post_init__(self):
        if self.batch_size > self.images:
            raise ValueError(f"batch_size: {self.batch_size} is more than the {self.images} images")

    @property
    def steps_per_epoch(self) -> int:
        return self.images // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        planned = self.epochs * self.steps_per_epoch
        return planned if self.max_steps is None else min(planned, self.max_steps)

    def epoch(self, step: int) -> int:
        """The epoch, from 0, in which a step, from 0, lies."""
        return step // self.steps_per_epoch

    def view(self, epoch: int) -> int:
        """Which view of each image an epoch shows: its own, or one of those that are used again."""
        return epoch % self.views_per_image if self.views_per_image else epoch

    def image_size(self, epoch: int) -> int:
        """Side in px of the student's views in an epoch."""
        epochs = math.ceil(self.steps / self.steps_per_epoch)
        return image_size_at(epoch, epochs, self.first_px, self.last_px)


def require_equal_parts(batch_size: int, processes: int, accumulation: int) -> None:
    """Raise a ValueError where a batch cannot be cut into equal micro-batches, so many for each process."""
    parts = processes * accumulation
    if batch_size % parts:
        raise ValueError(
            f"batch_size: {batch_size} cannot be cut evenly for {processes} processes and {accumulation} "
            f"micro-batches each; take a multiple of {parts}"
        )


class MicroBatches(Sampler[list[Key]]):
    """Keys of all micro-batches that one process computes, in the order of the run, from a step on.

    A step's batch is cut into `accumulation` times `processes` equal parts: whichever way it is cut, the step sees
    the same images.

    Args:
        curriculum: what the run shows when.
        order: epoch -> the images shuffled, (N,).
        start: steps already taken.
        process, processes: rank of this process, and how many there are.
        accumulation: micro-batches a process computes in a step.
        prefetch: told which images will be read next, LOOK_AHEAD of them before they are; None: nobody is told.

    Raises:
        ValueError: the batch cannot be cut into equal parts.
    """

    def __init__(
        self,
        curriculum: Curriculum,
        order: Callable[[int], np.ndarray],
        start: int = 0,
        process: int = 0,
        processes: int = 1,
        accumulation: int = 1,
        prefetch: Callable[[np.ndarray], None] | None = None,
    ):
        require_equal_parts(curriculum.batch_size, processes, accumulation)
        self.curriculum = curriculum
        self.order = order
        self.start = start
        self.process, self.processes = process, processes
        self.accumulation = accumulation
        self.prefetch = prefetch
        self._epoch = -1  # of the rows at hand
        self._rows = np.empty(0, np.int64)

    def __len__(self) -> int:
        return (self.curriculum.steps - self.start) * self.accumulation

    def __iter__(self) -> Iterator[list[Key]]:
        for step in range(self.start, self.curriculum.steps):
            if self.prefetch is not None:
                self.prefetch(self._ahead(step))
            for part in self.images(step).reshape(self.accumulation, self.processes, -1)[:, self.process]:
                epoch = self.curriculum.epoch(step)
                view, size_px = self.curriculum.view(epoch), self.curriculum.image_size(epoch)
                yield [(int(image), view, size_px) for image in part]

    def _ahead(self, step: int) -> np.ndarray:
        """Images that come within LOOK_AHEAD of a step in its epoch, and have not been told of."""
        self.images(step)
        first = step % self.curriculum.steps_per_epoch * self.curriculum.batch_size
        told = 0 if step == self.start or first == 0 else LOOK_AHEAD - self.curriculum.batch_size
        return self._rows[first + max(0, told) : first + LOOK_AHEAD]

    def images(self, step: int) -> np.ndarray:
        """(batch_size,) images of a step, those of all processes."""
        epoch, within = divmod(step, self.curriculum.steps_per_epoch)
        if self._epoch != epoch:
            self._epoch, self._rows = epoch, self.order(epoch)
        return self._rows[within * self.curriculum.batch_size :][: self.curriculum.batch_size]
