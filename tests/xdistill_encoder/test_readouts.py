import pytest
import torch

from xdistill_encoder.readouts import map_size, pool, spatial_softmax, tokens


def test_spatial_softmax_of_one_sharp_peak_is_its_position():
    features = torch.zeros(1, 2, 5, 9)
    features[0, 0, 0, 8] = 100.0  # top right
    features[0, 1, 4, 4] = 100.0  # bottom centre
    torch.testing.assert_close(spatial_softmax(features), torch.tensor([[1.0, -1.0, 0.0, 1.0]]))


def test_spatial_softmax_of_a_flat_map_is_the_centre():
    torch.testing.assert_close(spatial_softmax(torch.ones(1, 3, 4, 7)), torch.zeros(1, 6), atol=1e-6, rtol=0)


def test_spatial_softmax_agrees_with_the_sum_over_positions():
    features = torch.randn(2, 3, 4, 5)
    weights = (features / 0.5).flatten(2).softmax(-1).unflatten(2, (4, 5))
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, 4), torch.linspace(-1, 1, 5), indexing="ij")
    expected = torch.stack([(weights * xs).sum((2, 3)), (weights * ys).sum((2, 3))], dim=-1).flatten(1)
    torch.testing.assert_close(spatial_softmax(features, temperature=0.5), expected)


def test_the_encoder_passes_the_temperature_on(random_encoder):
    encoder, images = random_encoder().eval(), torch.rand(2, 3, 96, 96)
    expected = spatial_softmax(encoder.forward_features(images), temperature=0.3)
    torch.testing.assert_close(encoder.forward_spatial_softmax(images, temperature=0.3), expected)
    assert not torch.allclose(encoder.forward_spatial_softmax(images), expected)


def test_a_single_position_sits_at_the_centre():
    assert torch.equal(spatial_softmax(torch.randn(2, 3, 1, 1)), torch.zeros(2, 6))


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="temperature: expected a number above 0, got 0"):
        spatial_softmax(torch.ones(1, 1, 2, 2), temperature=0)


def test_tokens_are_the_positions_row_by_row():
    features = torch.arange(2 * 3 * 4).view(1, 2, 3, 4)
    assert torch.equal(tokens(features)[0, 1 * 4 + 2], features[0, :, 1, 2])


def test_pooling_is_the_mean_over_positions():
    assert torch.equal(pool(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])), torch.tensor([[3.0]]))


def test_the_size_of_a_map_is_rounded_up():
    assert map_size((96, 97), 32) == (3, 4)
