import pytest
import torch
from torch.nn import functional as F

from policy_examples.encoders import load_encoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return load_encoder("pointnet-dp3")


@pytest.fixture
def points():
    """(2, 3, 20, 3) float32, metres."""
    return torch.rand(2, 3, 20, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.4, 0.8, 0.2])


def test_the_encoder_has_the_sizes_of_dp3(encoder):
    layers = sum(inputs * outputs + 3 * outputs for inputs, outputs in ((3, 64), (64, 128), (128, 256), (256, 64)))
    assert encoder.parameter_count == layers == 59_072
    assert (encoder.num_features, encoder.reads, encoder.image_size_px) == (64, "point_cloud", None)


@torch.no_grad()
def test_the_features_are_the_projected_maximum_over_points(encoder, points):
    state = encoder.state_dict()
    x = points.flatten(0, 1)
    for layer in ("points.0", "points.3", "points.6"):
        x = F.linear(x, state[f"network.{layer}.weight"], state[f"network.{layer}.bias"])
        x = F.layer_norm(x, x.shape[-1:]).relu()
    x = F.linear(x.amax(dim=1), state["network.projection.0.weight"], state["network.projection.0.bias"])
    torch.testing.assert_close(encoder(points), F.layer_norm(x, (64,)).unflatten(0, (2, 3)))


@torch.no_grad()
def test_the_order_of_the_points_does_not_matter(encoder, points):
    torch.testing.assert_close(encoder(points.flip(2)), encoder(points))


@torch.no_grad()
def test_the_limits_of_the_demonstrations_become_the_unit_cube(encoder, points):
    within = points * 2 - 1  # the limits before any fit are -1 and 1, so these come to lie where they are
    expected = encoder(within)
    scaled = within * torch.tensor([0.2, 0.4, 0.1]) + torch.tensor([0.0, 0.6, 0.3])
    corners = torch.tensor([[[-0.2, 0.2, 0.2], [0.2, 1.0, 0.4]]])
    encoder.fit_points(corners)
    torch.testing.assert_close(encoder(scaled), expected, atol=1e-4, rtol=1e-4)


def test_the_limits_travel_in_the_state_dict(encoder, points):
    encoder.fit_points(points.flatten(0, 1))
    assert torch.equal(encoder.state_dict()["network.limits.high"], points.flatten(0, 2).amax(0))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            torch.zeros(1, 1, 8, 6),
            r"expected \(B, N, 3\), x y z of at least one point, got \(1, 8, 6\); leave colours out",
        ),
        (torch.zeros(1, 1, 0, 3), r"at least one point, got \(1, 0, 3\)"),
        (torch.zeros(1, 8, 3), r"points: expected \(B, T, N, 3\), got shape \(1, 8, 3\)"),
        (
            torch.zeros(1, 1, 8, 3, dtype=torch.float64),
            r"expected float32 in metres, got torch.float64; use points.float\(\)",
        ),
    ],
)
def test_other_points_are_refused(encoder, points, message):
    with pytest.raises(ValueError, match=message):
        encoder(points)


def test_points_cannot_be_fitted_to_an_encoder_of_images(points):
    with pytest.raises(ValueError, match="points: resnet18-scratch reads no points"):
        load_encoder("resnet18-scratch").fit_points(points.flatten(0, 1))
