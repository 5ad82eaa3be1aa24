"""Mean and standard deviation by which a teacher's embeddings are standardised."""

import torch
from torch import Tensor

FLOOR = 1e-3  # of the root mean square of the deviations


def statistics(embeddings: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor]:
    """(N, D) floating point -> mean (D,), standard deviation (D,), float32, of the N as the whole population.

    A dimension that hardly varies would be magnified to mere rounding errors: deviations below a thousandth of the
    root mean square over the dimensions are raised to it, so a dead dimension becomes values near 0.

    Args:
        embeddings: at least 2 rows.
        chunk: rows that are held in double precision at a time.

    Raises:
        ValueError: fewer than 2 rows, a value that is not finite, or embeddings that are all the same.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"embeddings: expected (N, D) of at least 2 rows, got {tuple(embeddings.shape)}")
    broken = sum(int((~rows.isfinite()).any(dim=1).sum()) for rows in embeddings.split(chunk))
    if broken:
        raise ValueError(f"embeddings: {broken} of {len(embeddings)} rows hold values that are not finite")
    mean = torch.stack([rows.double().sum(dim=0) for rows in embeddings.split(chunk)]).sum(dim=0) / len(embeddings)
    squares = [(rows.double() - mean).square().sum(dim=0) for rows in embeddings.split(chunk)]
    variance = torch.stack(squares).sum(dim=0) / len(embeddings)
    spread = variance.mean().sqrt()
    if spread <= torch.finfo(torch.float32).eps * mean.abs().max():
        raise ValueError(f"embeddings: all {len(embeddings)} rows are the same; is the teacher's input constant?")
    return mean.float(), variance.sqrt().clamp(min=FLOOR * spread).float()
