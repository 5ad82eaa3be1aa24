"""Which images of a set are nearest to an image, by the cosine of their features."""

import torch
from torch import Tensor
from torch.nn import functional as F

QUERIES_AT_ONCE = 512
"""A matrix of all queries by a large bank would not fit in memory."""


def nearest(queries: Tensor, bank: Tensor, count: int, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The most similar rows of a bank, most similar first, of equally similar ones the first in the bank.

    Args:
        queries: (Q, D) float.
        bank: (N, D) float.
        count: how many.
        own: (Q,) int64, the place of each query in the bank, which is left out; None leaves nothing out, so that an
            image that is in the set is its own nearest neighbour.

    Returns:
        Places in the bank (Q, count) int64, cosines (Q, count) float32 in [-1, 1].

    Raises:
        ValueError: a bank that is too small.
    """
    available = len(bank) - (own is not None)
    if not 1 <= count <= available:
        raise ValueError(f"neighbours: expected 1 to {available}, as many as the set of images has, got {count}")
    asked, bank = F.normalize(queries.float(), dim=1), F.normalize(bank.float(), dim=1)
    found = []
    for rows in torch.arange(len(asked)).split(QUERIES_AT_ONCE):
        cosines = asked[rows] @ bank.T  # (q, N)
        if own is not None:
            cosines[torch.arange(len(rows)), own[rows]] = -torch.inf
        ordered, places = cosines.sort(dim=1, descending=True, stable=True)
        found.append((places[:, :count], ordered[:, :count].clamp(-1, 1)))
    places, cosines = zip(*found, strict=True)
    return torch.cat(places), torch.cat(cosines)
