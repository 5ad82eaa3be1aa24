"""What a training step minimises: a weighted sum of losses, the mean over teachers."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from distillation.losses import cosine, mse, patch, relational, smooth_l1
from distillation.training.embedding_queue import EmbeddingQueue

EMBEDDING_LOSSES = {"mse": mse, "cosine": cosine, "smooth_l1": smooth_l1}  # of student and teacher alone
LOSSES = (*EMBEDDING_LOSSES, "relational", "patch")


def parse_losses(specs: Sequence[str]) -> dict[str, float]:
    """("mse", "cosine:0.5") -> {"mse": 1.0, "cosine": 0.5}.

    Raises:
        ValueError: nothing, a name that is unknown or given twice, a weight that is not a number above 0.
    """
    weights: dict[str, float] = {}
    for spec in specs:
        name, colon, text = spec.partition(":")
        try:
            weight = float(text) if colon else 1.0
        except ValueError:
            raise ValueError(f"loss: expected <name> or <name>:<weight>, such as cosine:0.5, got {spec!r}") from None
        if name in weights:
            raise ValueError(f"loss: {name} is given twice; add up its weights")
        weights[name] = weight
    _require_valid(weights)
    return weights


def _require_valid(losses: Mapping[str, float]) -> None:
    if not losses:
        raise ValueError(f"loss: expected at least one of {', '.join(LOSSES)}, got none")
    if set(losses) == {"patch"}:
        raise ValueError("loss: patch compares maps and teaches the linear layer nothing; add mse or another one")
    for name, weight in losses.items():
        if name not in LOSSES:
            raise ValueError(f"loss: expected names among {', '.join(LOSSES)}, got {name!r}")
        if not 0 < weight < math.inf:
            raise ValueError(f"loss: expected a weight above 0 for {name}, got {weight}; leave out what weighs nothing")


class Objective(nn.Module):
    """Weighted sum of losses, without parameters; its state is the queues of the relational loss.

    Gradients flow to the student only. A value that is not finite comes out as such.

    Args:
        losses: name -> weight, as `parse_losses` gives them.
        widths: D of each teacher; their embeddings lie side by side.
        queue_size: embeddings of each teacher that the relational loss compares with; unused without it.

    Raises:
        ValueError: an unknown loss, a weight that is not above 0, no teacher.
    """

    def __init__(self, losses: Mapping[str, float], widths: Sequence[int], queue_size: int):
        super().__init__()
        _require_valid(losses)
        if not widths or min(widths) < 1:
            raise ValueError(f"widths: expected one width of at least 1 for each teacher, got {tuple(widths)}")
        self.losses = dict(losses)
        self.widths = tuple(widths)
        queued = self.widths if self.needs_queue else ()
        queues = nn.ModuleList(EmbeddingQueue(queue_size, width) for width in queued)
        self.queues = cast("Sequence[EmbeddingQueue]", queues)

    @property
    def needs_map(self) -> bool:
        """Whether `forward` compares feature maps, those of the first teacher."""
        return "patch" in self.losses

    @property
    def needs_queue(self) -> bool:
        """Whether `update` does anything."""
        return "relational" in self.losses

    def forward(
        self, student: Tensor, teacher: Tensor, student_map: Tensor | None = None, teacher_map: Tensor | None = None
    ) -> Tensor:
        """A batch -> scalar, 0 when student equals teacher.

        Args:
            student, teacher: (B, sum of widths).
            student_map, teacher_map: (B, P, h, w) and (B, P, H, W); the patch loss alone reads them, and it counts
                once, however many teachers there are.

        Raises:
            ValueError: another width; a patch loss without both maps.
        """
        blocks = zip(self._blocks("student", student), self._blocks("teacher", teacher.detach()), strict=True)
        total = torch.stack([self._of_teacher(position, *pair) for position, pair in enumerate(blocks)]).mean()
        if self.needs_map:
            if student_map is None or teacher_map is None:
                absent = "student_map" if student_map is None else "teacher_map"
                raise ValueError(f"loss: patch compares feature maps, but {absent} is None; pass both or leave it out")
            total = total + self.losses["patch"] * patch(student_map, teacher_map.detach())
        return total

    def update(self, teachers: Tensor) -> None:
        """Queue the teachers' embeddings (B, sum of widths) of a step; call it after the step's backward passes.

        Several processes each pass the whole global batch in the same order, so that their queues stay equal.

        Raises:
            ValueError: another width.
        """
        blocks = self._blocks("teachers", teachers)
        if self.needs_queue:
            for queue, block in zip(self.queues, blocks, strict=True):
                queue.push(block)

    def _of_teacher(self, position: int, student: Tensor, teacher: Tensor) -> Tensor:
        """Weighted sum of what compares the embeddings of one teacher."""
        total = student.new_zeros((), dtype=torch.float32)
        for name, weight in self.losses.items():
            if name in EMBEDDING_LOSSES:
                total = total + weight * EMBEDDING_LOSSES[name](student, teacher)
            elif name == "relational":
                total = total + weight * relational(student, teacher, self.queues[position].embeddings)
        return total

    def _blocks(self, name: str, embeddings: Tensor) -> tuple[Tensor, ...]:
        if embeddings.ndim != 2 or embeddings.shape[1] != sum(self.widths):
            expected = f"(B, {' + '.join(map(str, self.widths))})"
            raise ValueError(f"{name}: expected embeddings {expected}, got {tuple(embeddings.shape)}")
        return embeddings.split(self.widths, dim=1)


def imitation_loss(
    student: Callable[..., Any], objective: Objective, views: Tensor, targets: Tensor, target_map: Tensor | None
) -> Tensor:
    """How far the student's estimates for views (B, 3, H, W) are from the teacher's embeddings (B, D) of the same."""
    views = views.to(targets.device, non_blocking=True).contiguous(memory_format=torch.channels_last)
    estimates, estimated_map = student(views, with_map=True) if objective.needs_map else (student(views), None)
    return objective(estimates, targets, estimated_map, target_map)
