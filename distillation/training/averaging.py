"""A moving average of the student."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from distillation.students import Student


class Average:
    """A copy of a student whose weights follow those that learn; counters are taken as they are.

    Update n = 1, 2, ... keeps min((1 + n) / (10 + n), decay) of the copy, so that it forgets where it started; the one
    before them, the first, takes the student as it is.

    Args:
        student: on its device.
        decay: the highest share that is kept, in (0, 1).

    Attributes:
        student: the averaged student, which is scored and exported.
    """

    def __init__(self, student: Student, decay: float):
        self.student = deepcopy(student).requires_grad_(False)
        self.decay = decay
        self.updates = 0
        self._averages, self._counters = split_state(self.student)

    @torch.no_grad()
    def update(self, student: Student) -> None:
        """Move towards a student of the same form; a GPU does so without being waited for."""
        weights, counters = split_state(student)
        kept = min((1 + self.updates) / (10 + self.updates), self.decay) if self.updates else 0.0
        torch._foreach_lerp_(self._averages, weights, 1 - kept)
        for kept_counter, counter in zip(self._counters, counters, strict=True):  # none with group norm
            kept_counter.copy_(counter)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "student": self.student.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        self.updates = state_dict["updates"]
        self.student.load_state_dict(state_dict["student"])


def split_state(student: Student) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and floating-point buffers of a student, and its counters."""
    state = [*student.parameters(), *student.buffers()]
    return [one for one in state if one.is_floating_point()], [one for one in state if not one.is_floating_point()]
