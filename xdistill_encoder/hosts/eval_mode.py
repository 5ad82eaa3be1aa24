"""An encoder in eval mode for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """The module and its parts in eval mode; afterwards each has the mode that it had.

    A policy that shares an encoder with an environment may have called `.train()`, after which acting would move batch
    norm's statistics and be normalised by those of the moment.
    """
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
