"""How far a student is from its teacher: pure functions, 0 when the two are equal."""

import torch
from torch import Tensor
from torch.nn import functional as F


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, D), (B, D) -> scalar, the mean squared error over batch and width (X-Distill, arXiv 2601.11269).

    Raises:
        ValueError: the shapes differ; so in every loss here.
    """
    _require_same_shape(student, teacher)
    return F.mse_loss(_precise(student), _precise(teacher))


def smooth_l1(student: Tensor, teacher: Tensor, beta: float = 1.0) -> Tensor:
    """(B, D), (B, D) -> scalar, d**2 / (2 beta) where the difference |d| < beta, |d| - beta / 2 elsewhere; the mean.

    Fast R-CNN (arXiv 1504.08083, eq. 3); as a loss between embeddings: AM-RADIO (arXiv 2312.06709).
    """
    _require_same_shape(student, teacher)
    return F.smooth_l1_loss(_precise(student), _precise(teacher), beta=beta)


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, D, ...), (B, D, ...) -> scalar, 1 - cosine similarity along D, in [0, 2], the mean over the rest.

    As a loss between embeddings: AM-RADIO (arXiv 2312.06709). Computed as half the squared distance of the unit
    vectors, the same number without the cancellation near 0.
    """
    _require_same_shape(student, teacher)
    return (_unit(student) - _unit(teacher)).square().sum(dim=1).mean() / 2


def relational(
    student: Tensor, teacher: Tensor, queue: Tensor, temperatures: tuple[float, float] = (0.1, 0.1)
) -> Tensor:
    """How differently student and teacher see an image among others (SEED, arXiv 2101.04731).

    Both are compared, by cosine similarity, with the teacher's embedding of the same image and with a queue of its
    embeddings of others; the loss is KL(teacher || student) of the two softmaxes. SEED minimises their cross entropy,
    which differs by the teacher's entropy, a constant. Its authors' code divides by 0.2 for the student and by 1e-4
    for the teacher; the loss is 0 for equals only where the two temperatures are the same, so here they are by
    default, as in CompRess (arXiv 2010.14713).

    Args:
        student: (B, D).
        teacher: (B, D).
        queue: (Q, D) rows of norm 1; a row of zeros is at similarity 0 to everything.
        temperatures: of student and teacher, above 0.
    """
    _require_same_shape(student, teacher)
    if queue.ndim != 2 or queue.shape[1] != teacher.shape[1]:
        raise ValueError(f"queue: expected (Q, {teacher.shape[1]}), as wide as the teacher, got {tuple(queue.shape)}")
    if min(temperatures) <= 0:
        raise ValueError(f"temperatures: expected two numbers above 0, got {temperatures}")
    with torch.autocast(student.device.type, enabled=False):  # bfloat16 over a small temperature is too coarse
        student, teacher = _unit(student), _unit(teacher)
        others = queue.to(teacher.dtype).T  # (D, Q)
        of_student, of_teacher = [
            F.log_softmax(torch.cat([(view * teacher).sum(dim=1, keepdim=True), view @ others], dim=1) / temperature, 1)
            for view, temperature in zip((student, teacher), temperatures, strict=True)
        ]  # (B, 1 + Q) each, logarithms of shares
    return F.kl_div(of_student, of_teacher, reduction="batchmean", log_target=True)


def patch(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    """(B, P, h, w), (B, P, H, W) of one view -> scalar, 0.9 cosine + 0.1 smooth L1 (Theia, arXiv 2407.20179).

    The finer map is averaged over the cells of the coarser, along each side. The cosine is that of each place, not of
    the flattened map.

    Raises:
        ValueError: batch or width differ.
    """
    if student_map.ndim != 4 or teacher_map.ndim != 4 or student_map.shape[:2] != teacher_map.shape[:2]:
        raise ValueError(
            "expected maps (B, P, h, w) and (B, P, H, W) of the same B and P, got student "
            f"{tuple(student_map.shape)}, teacher {tuple(teacher_map.shape)}"
        )
    height = min(student_map.shape[2], teacher_map.shape[2])
    width = min(student_map.shape[3], teacher_map.shape[3])
    student = F.adaptive_avg_pool2d(_precise(student_map), (height, width))
    teacher = F.adaptive_avg_pool2d(_precise(teacher_map), (height, width))
    return 0.9 * cosine(student, teacher) + 0.1 * smooth_l1(student, teacher)


def _require_same_shape(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher differ in shape: {tuple(student.shape)}, {tuple(teacher.shape)}")


def _precise(tensor: Tensor) -> Tensor:
    """At least float32."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _unit(tensor: Tensor) -> Tensor:
    """At least float32, of norm 1 along dimension 1."""
    return F.normalize(_precise(tensor), dim=1)
