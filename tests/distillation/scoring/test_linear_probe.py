import pytest
import torch

from distillation.scoring import linear_probe
from distillation.scoring.linear_probe import LinearClassifier, linear_probe_accuracy


def clusters(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three overlapping clusters in four dimensions of very different scale."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    features = torch.randn(count, 4, generator=generator) + 2 * torch.eye(3, 4)[labels]
    return features * torch.tensor([1.0, 1000.0, 0.001, 1.0]), labels


def test_the_fit_is_where_the_gradient_of_the_documented_objective_vanishes():
    features, labels = clusters(200, 0)
    features = features / features.std(dim=0)
    classifier = LinearClassifier(3, 4, torch.device("cpu"))
    classifier.fit(features, labels, penalty=0.01)

    weight, bias = (parameter.detach().double().requires_grad_() for parameter in (classifier.weight, classifier.bias))
    logits = features.double() @ weight + bias
    loss = torch.nn.functional.cross_entropy(logits, labels) + 0.01 / 2 * weight.square().sum()
    loss.backward()
    assert weight.grad is not None
    assert bias.grad is not None
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-4


def test_chunks_of_images_give_the_fit_of_all_at_once(monkeypatch):
    features, labels = clusters(100, 0)
    whole, chunked = (LinearClassifier(3, 4, torch.device("cpu")) for _ in range(2))
    whole.fit(features / features.std(dim=0), labels, penalty=0.1)
    monkeypatch.setattr(linear_probe, "LOGITS_AT_ONCE", 3 * 7)  # seven images at a time, two in the last chunk
    chunked.fit(features / features.std(dim=0), labels, penalty=0.1)
    torch.testing.assert_close(chunked.weight, whole.weight, atol=1e-3, rtol=1e-3)


def test_the_scale_of_a_feature_and_an_offset_do_not_matter():
    (bank, labels), (queries, wanted) = clusters(300, 0), clusters(300, 1)
    std = bank.std(dim=0)
    scaled = linear_probe_accuracy(bank, labels, queries, wanted)
    plain = linear_probe_accuracy(bank / std + 5, labels, queries / std + 5, wanted)
    assert scaled == plain
    assert scaled[0] > 0.8


def test_a_feature_that_never_varies_is_no_obstacle():
    (bank, labels), (queries, wanted) = clusters(300, 0), clusters(300, 1)
    constant = torch.full((300, 1), 3.0)
    accuracy, _ = linear_probe_accuracy(
        torch.cat([bank, constant], 1), labels, torch.cat([queries, constant], 1), wanted
    )
    assert accuracy == linear_probe_accuracy(bank, labels, queries, wanted)[0]


def test_noise_is_classified_by_chance():
    generator = torch.Generator().manual_seed(0)
    bank, queries = torch.randn(60, 50, generator=generator), torch.randn(600, 50, generator=generator)
    accuracy, _ = linear_probe_accuracy(bank, torch.arange(60) % 3, queries, torch.arange(600) % 3)
    assert accuracy == pytest.approx(1 / 3, abs=0.1)


def test_a_bank_of_one_class_is_refused():
    with pytest.raises(ValueError, match="five images of two classes, got 6 of 1"):
        linear_probe_accuracy(torch.rand(6, 2), torch.zeros(6, dtype=torch.int64), torch.rand(1, 2), torch.tensor([0]))
