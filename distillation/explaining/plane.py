"""Features -> points of a plane in which near stays near."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

REDUCED = 50
"""Dimensions that t-SNE starts from, as van der Maaten and Hinton (2008) do."""


def plane(features: Tensor, perplexity: float, seed: int) -> np.ndarray:
    """(N, D) float -> (N, 2) float32 by t-SNE of their directions, from a start at the first two principal components.

    Lengths do not count, so that points lie together by the cosine that neighbours are looked up with.

    Args:
        perplexity: about how many neighbours each point has; lowered to a third of the points where they are few.

    Raises:
        ValueError: fewer than three rows, or rows that do not differ.
    """
    directions = F.normalize(features.double(), dim=1).numpy()
    if len(directions) < 3 or not np.ptp(directions, axis=0).any():
        raise ValueError(f"features: expected three rows or more that differ, got {len(directions)} without a picture")
    count, width = directions.shape
    reduced = PCA(min(REDUCED, count - 1, width), svd_solver="full").fit_transform(directions)
    picture = TSNE(perplexity=min(perplexity, (count - 1) / 3), init="pca", random_state=seed)
    with threadpool_limits(1):  # points are few: more threads wait for each other on a busy machine
        return picture.fit_transform(reduced)
