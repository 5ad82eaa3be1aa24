"""How far a student's embeddings are from the teacher's."""

from torch import Tensor
from torch.nn import functional as F


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, D), (B, D) -> scalar, the mean squared error over batch and width (X-Distill, arXiv 2601.11269)."""
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher differ in shape: {tuple(student.shape)}, {tuple(teacher.shape)}")
    return F.mse_loss(student.float(), teacher.float())
