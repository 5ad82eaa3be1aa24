import math

import pytest
import torch

from distillation.training.standardization import statistics


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_mean_and_deviation_are_those_of_the_population():
    mean, std = statistics(torch.tensor([[1.0, 0.0], [3.0, 10.0], [5.0, 2.0]]))
    torch.testing.assert_close(mean, torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(std, torch.tensor([math.sqrt(8 / 3), math.sqrt(56 / 3)]))


def test_standardised_embeddings_have_mean_0_and_deviation_1():
    embeddings = noise(500, 6) * torch.tensor([1.0, 5.0, 0.1, 2.0, 30.0, 1.0]) + 100
    mean, std = statistics(embeddings)
    standardised = (embeddings - mean) / std
    torch.testing.assert_close(standardised.mean(dim=0), torch.zeros(6), rtol=0, atol=1e-3)
    torch.testing.assert_close(standardised.std(dim=0, correction=0), torch.ones(6), rtol=1e-4, atol=0)


@pytest.mark.parametrize("chunk", [1, 7, 50, 1000])
def test_the_chunk_does_not_matter(chunk):
    embeddings = noise(50, 6)
    for ours, theirs in zip(statistics(embeddings, chunk), statistics(embeddings), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_embeddings_of_any_precision_are_accumulated_in_double(dtype):
    embeddings = (noise(3000, 4) + 20).to(dtype)  # their float16 sum would overflow at 60,000
    for ours, expected in zip(
        statistics(embeddings), torch.std_mean(embeddings.double(), dim=0, correction=0)[::-1], strict=True
    ):
        torch.testing.assert_close(ours, expected.float())


def test_a_dead_dimension_is_not_magnified():
    embeddings = noise(200, 4)
    embeddings[:, 1] = 0.3
    embeddings[:, 2] = 0.3 + 1e-6 * noise(200)
    mean, std = statistics(embeddings)
    assert std[1] == std[2] == pytest.approx(1e-3 * math.sqrt(embeddings.var(dim=0, correction=0).mean()), rel=1e-4)
    assert ((embeddings - mean) / std)[:, 1:3].abs().max() < 0.01


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
def test_embeddings_that_are_all_the_same_are_refused(value):
    with pytest.raises(ValueError, match="all 300 rows are the same"):
        statistics(torch.full((300, 4), value))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused_and_counted(value):
    embeddings = noise(20, 4)
    embeddings[3, 1] = embeddings[3, 2] = embeddings[7, 0] = value
    with pytest.raises(ValueError, match="2 of 20 rows hold values that are not finite"):
        statistics(embeddings)


@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (4,)])
def test_fewer_than_two_rows_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(N, D\) of at least 2 rows, got"):
        statistics(torch.zeros(shape))
