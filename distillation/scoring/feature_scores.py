"""Scores of features by the names that tables use."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from distillation.datasets import LabelledImages
from distillation.scoring.corruptions import CORRUPTIONS
from distillation.scoring.embedding import CLEAN, PreparedImages, embed
from distillation.scoring.encoders import CentreView
from distillation.scoring.metrics import (
    cosine_similarity,
    effective_rank,
    explained_variance,
    knn_accuracy,
    standardized_explained_variance,
)

NEIGHBORS = (10, 20)


def require_neighbours(bank: LabelledImages) -> None:
    """Raise a ValueError for a bank that is too small to look neighbours up in, before anything is computed."""
    if len(bank) < max(NEIGHBORS):
        raise ValueError(f"bank: expected {max(NEIGHBORS)} images or more, got {len(bank)}; take a larger one")


def score_features(
    features: nn.Module,
    bank: LabelledImages,
    queries: LabelledImages,
    image_size_px: int,
    device: torch.device,
    *,
    batch_size: int = 64,
    workers: int = 2,
    teacher_head: nn.Module | None = None,
    targets: Sequence[Tensor] = (),
) -> dict[str, float]:
    """Scores of a network while it learns: "knn10_percent", "knn20_percent", "effective_rank" of the queries, and
    where targets are given those of `agreement_scores`.

    The network is scored in eval mode; each of its modules is left in the mode it came in, and so is the global
    random state.

    Args:
        features: (B, 3, S, S) uint8 -> (B, D), on `device`.
        bank, queries: of the same classes.
        image_size_px: S.
        teacher_head: (N, D) features -> (N, ΣE), the estimates of the teachers' embeddings side by side.
        targets: (N, E) of each teacher, its embeddings of the queries (`embed_queries`).

    Raises:
        ValueError: a bank smaller than the number of neighbours, or an image that cannot be read.
    """
    modes = {module: module.training for module in features.modules()}
    features.eval()
    try:
        embedded = [
            embed(
                {CLEAN: features},
                PreparedImages(images, CentreView(image_size_px)),
                device,
                batch_size=batch_size,
                workers=workers,
                title=title,
            )[CLEAN].to(device)
            for images, title in ((bank, "bank"), (queries, "queries"))
        ]
    finally:
        for module, training in modes.items():
            module.training = training
    labels = (torch.from_numpy(images.labels).to(device) for images in (bank, queries))
    scores = knn_scores(embedded[0], next(labels), embedded[1], next(labels))
    scores["effective_rank"] = round(effective_rank(embedded[1]), 2)
    if teacher_head is None or not targets:
        return scores
    with torch.inference_mode():
        estimates = teacher_head(embedded[1]).cpu().split([target.shape[1] for target in targets], dim=1)
    return scores | agreement_scores(estimates, targets)


def knn_scores(bank: Tensor, bank_labels: Tensor, queries: Tensor, query_labels: Tensor) -> dict[str, float]:
    """{"knn10_percent", "knn20_percent"}; arguments as in `knn_accuracy`."""
    shares = knn_accuracy(bank, bank_labels, queries, query_labels, NEIGHBORS)
    return {f"knn{k}_percent": percent(share) for k, share in zip(NEIGHBORS, shares, strict=True)}


def robustness_scores(
    bank: Tensor, bank_labels: Tensor, queries: Mapping[str, Tensor], query_labels: Tensor, clean_percent: float
) -> dict[str, float]:
    """10-NN of corrupted queries in a clean bank: {"knn10_blur_percent", ..., "robustness_drop_points"}.

    Args:
        queries: features of the same images under each of CORRUPTIONS.
        clean_percent: 10-NN of the images as they are.

    The drop is the mean over corruptions of what they cost, in points of per cent; 0: nothing.
    """
    scores = {
        f"knn10_{name}_percent": percent(knn_accuracy(bank, bank_labels, queries[name], query_labels, [10])[0])
        for name in CORRUPTIONS
    }
    return scores | {"robustness_drop_points": round(clean_percent - sum(scores.values()) / len(scores), 2)}


def agreement_scores(estimates: Sequence[Tensor], targets: Sequence[Tensor]) -> dict[str, float]:
    """How near a student's estimates come to its teachers' embeddings, (N, D) of each; means over teachers."""
    measures = {
        "teacher_cosine": cosine_similarity,
        "teacher_explained_variance": explained_variance,
        "teacher_explained_variance_standardized": standardized_explained_variance,
    }
    pairs = list(zip(estimates, targets, strict=True))
    return {name: round(sum(measure(*pair) for pair in pairs) / len(pairs), 4) for name, measure in measures.items()}


@torch.inference_mode()
def teacher_head_scores(
    classifier: nn.Module,
    estimates: Tensor,
    targets: Tensor | None,
    labels: np.ndarray,
    classes: int,
    teacher_classes: Sequence[int] = (),
) -> dict[str, float]:
    """What the teacher's own classifier says of estimated embeddings, all its K classes open to it.

    {"teacher_head_agreement_percent": how often it says the same of the teacher's embedding (where targets are
    given), "teacher_head_top1_percent": how often it is right, where labels can be told as its classes}.

    Args:
        classifier: (B, D) embeddings -> (B, K) logits.
        estimates, targets: (N, D) on the device of the classifier.
        labels: (N,) in [0, classes).
        teacher_classes: the classifier's class of each label; empty: the labels are its classes if there are K.

    Raises:
        ValueError: teacher_classes does not fit the labels or the classifier.
    """
    said = torch.cat([classifier(some).argmax(dim=1) for some in estimates.split(4096)])
    known = classifier(estimates[:1]).shape[1]
    scores = {}
    if targets is not None:
        wanted = torch.cat([classifier(some).argmax(dim=1) for some in targets.split(4096)])
        scores["teacher_head_agreement_percent"] = percent((said == wanted).float().mean().item())
    if teacher_classes and (
        len(teacher_classes) != classes or not 0 <= min(teacher_classes) <= max(teacher_classes) < known
    ):
        raise ValueError(
            f"teacher_classes: expected {classes} numbers in [0, {known}), one a label, got {list(teacher_classes)}"
        )
    if teacher_classes or classes == known:
        right = np.asarray(teacher_classes)[labels] if teacher_classes else labels
        scores["teacher_head_top1_percent"] = percent((said.cpu() == torch.from_numpy(right)).float().mean().item())
    return scores


def percent(share: float) -> float:
    """Share -> per cent with two digits."""
    return round(100 * share, 2)
