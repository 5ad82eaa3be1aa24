import math

import pytest
import torch

from distillation.scoring import metrics
from distillation.scoring.metrics import (
    cosine_similarity,
    effective_rank,
    explained_variance,
    knn_accuracy,
    standardized_explained_variance,
    vote,
)


def test_near_neighbours_outvote_a_distant_majority():
    """Query (1, 0); one neighbour of class 1 at cosine 1, two of class 0 at cosine 0.6: e^(1/.07) > 2 e^(.6/.07)."""
    bank = torch.tensor([[2.0, 0.0], [0.6, 0.8], [0.6, -0.8]])
    labels = torch.tensor([1, 0, 0])
    query, label = torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    assert knn_accuracy(bank, labels, query, label, [1, 3]) == [1, 1]
    assert knn_accuracy(bank, labels, query, label, [1, 3], temperature=100.0) == [1, 0]


def test_of_equally_near_neighbours_the_majority_elects():
    labels = torch.tensor([[0, 2, 2], [1, 1, 0]])
    assert vote(labels, torch.ones(2, 3), classes=3).tolist() == [2, 1]


def test_chunks_of_queries_give_the_accuracy_of_the_whole_matrix(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    bank, queries = torch.randn(50, 8, generator=generator), torch.randn(33, 8, generator=generator)
    labels, wanted = torch.arange(50) % 3, torch.arange(33) % 3
    whole = knn_accuracy(bank, labels, queries, wanted, [1, 10, 20])
    monkeypatch.setattr(metrics, "SIMILARITIES_AT_ONCE", 7 * 50)  # seven queries at a time, five in the last chunk
    assert knn_accuracy(bank, labels, queries, wanted, [1, 10, 20]) == whole


def test_more_neighbours_than_the_bank_holds_are_refused():
    with pytest.raises(ValueError, match="neighbors: expected 1 to 3, .* got 4; take a larger bank"):
        knn_accuracy(torch.rand(3, 2), torch.tensor([0, 1, 0]), torch.rand(1, 2), torch.tensor([0]), [4])


def test_the_effective_rank_counts_directions_that_are_used_alike():
    """Rows +-e_i for i < 3 of 5 dimensions have mean 0 and three equal singular values: exp(log 3) = 3."""
    features = torch.cat([torch.eye(3, 5), -torch.eye(3, 5)])
    assert effective_rank(features) == pytest.approx(3)
    assert effective_rank(features + 100) == pytest.approx(3, rel=1e-3)  # an offset tells no image from another


def test_the_effective_rank_is_the_entropy_of_the_singular_values():
    """Singular values 3, 1 (times sqrt 2): shares 3/4, 1/4."""
    features = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(features) == pytest.approx(math.exp(entropy))


def test_equal_features_have_rank_zero():
    assert effective_rank(torch.full((4, 3), 0.1)) == 0


def test_equal_embeddings_agree_wholly():
    embeddings = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    assert cosine_similarity(embeddings, 3 * embeddings) == pytest.approx(1)
    assert explained_variance(embeddings, embeddings) == 1
    assert standardized_explained_variance(embeddings, embeddings) == 1


def test_the_mean_of_the_targets_explains_nothing():
    targets = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    mean = targets.mean(dim=0).expand(10, 4)
    assert explained_variance(mean, targets) == pytest.approx(0, abs=1e-6)
    assert standardized_explained_variance(mean, targets) == pytest.approx(0, abs=1e-6)


def test_large_dimensions_count_for_more_unless_standardized():
    """Variances 9, 1, 0; the first dimension is explained wholly, the second not at all, the third cannot be."""
    targets = torch.tensor([[3.0, 1.0, 2.0], [-3.0, 1.0, 2.0], [3.0, -1.0, 2.0], [-3.0, -1.0, 2.0]])
    estimates = targets * torch.tensor([1.0, 0.0, 1.0])
    assert explained_variance(estimates, targets) == pytest.approx(0.9)
    assert standardized_explained_variance(estimates, targets) == pytest.approx(0.5)


def test_a_dimension_that_hardly_varies_does_not_decide_what_is_explained():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(50, 4, generator=generator) * torch.tensor([1.0, 1.0, 1.0, 1e-5])
    assert standardized_explained_variance(targets + torch.tensor([0, 0, 0, 0.01]), targets) == pytest.approx(1)


@pytest.mark.parametrize("measure", [cosine_similarity, explained_variance, standardized_explained_variance])
def test_embeddings_of_different_width_are_refused(measure):
    with pytest.raises(ValueError, match=r"shapes differ, \(3, 2\) and \(3, 4\)"):
        measure(torch.rand(3, 2), torch.rand(3, 4))


def test_targets_without_variance_are_refused():
    with pytest.raises(ValueError, match="all 3 embeddings are equal"):
        explained_variance(torch.rand(3, 2), torch.ones(3, 2))
