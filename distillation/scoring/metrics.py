"""What features are worth, as numbers: pure functions of feature matrices."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from distillation.training.standardization import FLOOR

SIMILARITIES_AT_ONCE = 2**27
"""Entries of the similarity matrix that exist at a time: 512 MiB of float32."""


@torch.inference_mode()
def knn_accuracy(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    neighbors: Sequence[int],
    temperature: float = 0.07,
) -> list[float]:
    """Share in [0, 1] of queries that their nearest bank rows label rightly, for each number of neighbours.

    Features are (N, D) float32, labels (N,) int64, all on one device. The k neighbours of highest cosine similarity
    elect the class, see `vote`.

    Raises:
        ValueError: a number of neighbours is below 1 or above the size of the bank.
    """
    for k in neighbors:
        if not 1 <= k <= len(bank):
            raise ValueError(f"neighbors: expected 1 to {len(bank)}, the size of the bank, got {k}; take a larger bank")
    bank = F.normalize(bank, dim=1).T  # (D, N)
    classes = int(bank_labels.max()) + 1
    chunk = max(1, SIMILARITIES_AT_ONCE // bank.shape[1])
    right = torch.zeros(len(neighbors), dtype=torch.int64, device=queries.device)
    starts = range(0, len(queries), chunk)
    for start in tqdm(starts, unit="chunk", desc="neighbours", leave=False, disable=len(starts) == 1):
        some = slice(start, start + chunk)
        similarity = F.normalize(queries[some], dim=1) @ bank  # (chunk, N)
        nearest, rows = similarity.topk(max(neighbors), dim=1)
        for i, k in enumerate(neighbors):
            elected = vote(bank_labels[rows[:, :k]], nearest[:, :k], classes, temperature)
            right[i] += (elected == query_labels[some]).sum()
    return (right / len(queries)).tolist()


def vote(labels: Tensor, cosines: Tensor, classes: int, temperature: float = 0.07) -> Tensor:
    """(Q, k) int64 labels of neighbours, (Q, k) float similarities -> (Q,) int64, the class each query is given.

    A neighbour's vote weighs exp(similarity / temperature), as in DINO (arXiv 2104.14294, section 4.1).
    """
    votes = cosines.new_zeros(len(cosines), classes)
    votes.scatter_add_(1, labels, (cosines / temperature).exp())
    return votes.argmax(dim=1)


def effective_rank(features: Tensor) -> float:
    """(N, D) -> number in [0, D] of directions that the features really use; 0 where all rows are equal.

    exp of the entropy of the singular values divided by their sum (Roy & Vetterli, EUSIPCO 2007, eq. 1-4), of the
    features less their mean: an offset common to all images tells none from another.
    """
    features = features.cpu().double()  # squared below: singular values are roots of eigenvalues of a (D, D) matrix
    centred = features - features.mean(dim=0)
    if centred.norm() <= 1e-7 * features.norm():  # nothing but the rounding of float32
        return 0.0
    values = torch.linalg.eigvalsh(centred.T @ centred).clamp(min=0).sqrt()
    shares = values / values.sum()
    return torch.special.entr(shares).sum().exp().item()


def cosine_similarity(estimates: Tensor, targets: Tensor) -> float:
    """(N, D), (N, D) -> the mean over images of the cosine between the two, in [-1, 1]."""
    _check_pair(estimates, targets)
    return F.cosine_similarity(estimates.double(), targets.double(), dim=1).mean().item()


def explained_variance(estimates: Tensor, targets: Tensor) -> float:
    """(N, D), (N, D) -> 1 - MSE / variance of the targets, both summed over D; 1: equal, 0: no better than their mean.

    Directions in which the targets vary much count for much, as in the plain MSE loss.

    Raises:
        ValueError: shapes differ, or all targets are equal.
    """
    errors, variances = _errors_and_variances(estimates, targets)
    return 1 - (errors.sum() / variances.sum()).item()


def standardized_explained_variance(estimates: Tensor, targets: Tensor) -> float:
    """(N, D), (N, D) -> the mean over D of 1 - MSE / variance: what the MSE of standardised embeddings explains.

    Every dimension counts alike; one that hardly varies, as `standardization.statistics` has it, does not count.

    Raises:
        ValueError: shapes differ, or all targets are equal.
    """
    errors, variances = _errors_and_variances(estimates, targets)
    varies = variances > FLOOR**2 * variances.mean()
    return 1 - (errors[varies] / variances[varies]).mean().item()


def _errors_and_variances(estimates: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """MSE and variance of each dimension, (D,) float64 both."""
    _check_pair(estimates, targets)
    errors = (estimates.double() - targets.double()).square().mean(dim=0)
    variances = targets.double().var(dim=0, correction=0)
    if not variances.any():
        raise ValueError(f"targets: all {len(targets)} embeddings are equal, there is no variance to explain")
    return errors, variances


def _check_pair(estimates: Tensor, targets: Tensor) -> None:
    if estimates.shape != targets.shape:
        raise ValueError(f"estimates, targets: shapes differ, {tuple(estimates.shape)} and {tuple(targets.shape)}")
