"""Features -> points of a plane."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

REDUCED = 50
"""Dimensions that t-SNE starts from, as van der Maaten and Hinton (2008) do."""


def pca(features: np.ndarray) -> tuple[np.ndarray, float]:
    """(F, D) -> the first two principal components (F, 2), the share of the variance that they hold.

    Raises:
        ValueError: fewer than three frames, or features that never vary.
    """
    require_varied(features)
    fitted = PCA(2, svd_solver="full")
    return fitted.fit_transform(features.astype(np.float64)), float(fitted.explained_variance_ratio_.sum())


def tsne(features: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """(F, D) -> (F, 2) by t-SNE of the first 50 principal components, from a start at the first two.

    Args:
        perplexity: about how many neighbours each frame has; lowered to a third of the frames where they are few.

    Raises:
        ValueError: fewer than three frames, or features that never vary.
    """
    require_varied(features)
    frames, width = features.shape
    reduced = PCA(min(REDUCED, frames - 1, width), svd_solver="full").fit_transform(features.astype(np.float64))
    picture = TSNE(
        n_components=2,
        perplexity=min(perplexity, (frames - 1) / 3),
        init="pca",
        learning_rate="auto",
        random_state=seed,
    )
    with threadpool_limits(1):  # points are few: more threads wait for each other on a busy machine
        return picture.fit_transform(reduced)


def require_varied(features: np.ndarray) -> None:
    """Raise a ValueError for features of which no picture can be made."""
    if features.ndim != 2 or len(features) < 3 or features.shape[1] < 2:
        raise ValueError(f"features: expected (F, D), three frames and two numbers or more, got {features.shape}.")
    if not np.isfinite(features).all() or not np.ptp(features, axis=0).any():
        raise ValueError("features: expected finite numbers that differ between frames, as this encoder gives none.")
