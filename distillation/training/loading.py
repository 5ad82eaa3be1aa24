"""Batches of views, decoded by worker processes."""

import os
import re
from collections.abc import Generator, Iterable

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from distillation.datasets import Views
from distillation.interrupts import leave_signals_to_the_main_process
from distillation.training.batches import Key


def stream(views: Views, keys: Iterable[list[Key]], workers: int) -> Generator[dict[str, Tensor]]:
    """The batches of keys; the workers, at most one a core, end when the generator is closed."""
    yield from DataLoader(
        views,
        batch_sampler=keys,
        num_workers=min(workers, os.cpu_count() or 1),
        worker_init_fn=leave_signals_to_the_main_process,
        pin_memory=torch.cuda.is_available(),
    )


def told(error: Exception) -> str:
    """What an error says; one of a worker's is its whole traceback, of which this is what it raised."""
    text = str(error)
    if "Traceback (most recent call last)" not in text:
        return text
    return re.split(r"\n[\w.]+(?:Error|Image): ", text)[-1].strip()
