import pytest
import torch

from policy_examples.normalizer import LimitsNormalizer


def test_the_limits_become_minus_one_and_one():
    normalizer = LimitsNormalizer(2)
    normalizer.fit(torch.tensor([[0.0, -4.0], [10.0, 4.0], [5.0, 2.0]]))
    normalized = normalizer.normalize(torch.tensor([[0.0, 4.0], [5.0, 0.0]]))
    torch.testing.assert_close(normalized, torch.tensor([[-1.0, 1.0], [0.0, 0.0]]))


def test_normalising_round_trips():
    scales = torch.tensor([0.01, 1.0, 10.0, 100.0])
    values = torch.randn(50, 4) * scales + 3
    normalizer = LimitsNormalizer(4)
    normalizer.fit(values)
    again = normalizer.denormalize(normalizer.normalize(values))
    torch.testing.assert_close(again / scales, values / scales, atol=1e-6, rtol=1e-6)  # exact to their range, not to 0


def test_a_dimension_that_never_varies_maps_to_zero_and_back():
    normalizer = LimitsNormalizer(1)
    normalizer.fit(torch.full((5, 1), 7.0))
    torch.testing.assert_close(normalizer.normalize(torch.tensor([[7.0], [7.5]])), torch.tensor([[0.0], [0.5]]))
    for estimate in (-1.0, 0.0, 0.3):  # whatever a policy makes of it
        assert normalizer.denormalize(torch.tensor([[estimate]])).item() == 7.0


def test_a_dimension_that_hardly_varies_stays_within_its_limits():
    values = torch.tensor([[7.0], [7.00002]])
    normalizer = LimitsNormalizer(1)
    normalizer.fit(values)
    assert normalizer.normalize(values).abs().max() < 1e-4  # unit scale: its noise is not blown up
    back = normalizer.denormalize(torch.tensor([[-1.0], [1.0]]))
    assert values.amin() <= back.min()
    assert back.max() <= values.amax() + 1e-6


def test_small_motions_of_an_action_are_learned_where_small_noise_of_a_state_is_not():
    values = torch.tensor([[-4e-5], [4e-5]])  # metres a tick
    normalizer = LimitsNormalizer(1, constant=0.0)
    normalizer.fit(values)
    torch.testing.assert_close(normalizer.normalize(values), torch.tensor([[-1.0], [1.0]]))
    torch.testing.assert_close(normalizer.denormalize(normalizer.normalize(values)), values)
    normalizer.fit(torch.full((5, 1), 7.0))
    assert normalizer.denormalize(normalizer.normalize(torch.tensor([[7.0]]))).item() == 7.0


def test_values_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"expected \(N, 4\), got \(5, 3\)"):
        LimitsNormalizer(4).fit(torch.zeros(5, 3))
