import pytest
import torch

from distillation.explaining.resemblance import pixel_saliency, resemblance_map, smoothed

MAP = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(6, generator=torch.Generator().manual_seed(1))


def test_the_shares_of_all_positions_add_up_to_the_cosine_of_the_pooled_features():
    shares = resemblance_map(MAP, OTHER)
    assert shares.shape == (3, 4)
    torch.testing.assert_close(shares.sum(), torch.cosine_similarity(MAP.mean(dim=(1, 2)), OTHER, dim=0))


def test_a_position_that_alone_carries_the_features_has_the_whole_share():
    lonely = torch.zeros(6, 3, 4)
    lonely[:, 1, 2] = OTHER
    expected = torch.zeros(3, 4)
    expected[1, 2] = 1
    torch.testing.assert_close(resemblance_map(lonely, OTHER), expected)


def test_a_position_that_opposes_the_other_features_has_a_share_below_0():
    opposed = OTHER[:, None, None].expand(6, 3, 4).clone()
    opposed[:, 0, 0] = -OTHER
    shares = resemblance_map(opposed, OTHER)
    assert shares[0, 0] < 0
    assert (shares.flatten()[1:] > 0).all()


@pytest.mark.parametrize(
    ("feature_map", "other", "message"),
    [
        (MAP[None], OTHER, r"a map \(C, h, w\) and features \(C,\), got \(1, 6, 3, 4\) and \(6,\)"),
        (MAP, OTHER[:5], r"got \(6, 3, 4\) and \(5,\)"),
        (torch.zeros(6, 3, 4), OTHER, "got zeros, which have no direction"),
    ],
)
def test_what_has_no_cosine_is_refused(feature_map, other, message):
    with pytest.raises(ValueError, match=message):
        resemblance_map(feature_map, other)


def test_the_saliency_of_a_pixel_is_the_length_of_its_gradient():
    gradient = torch.zeros(3, 2, 2)
    gradient[:, 0, 1] = torch.tensor([2.0, -3.0, 6.0])
    assert pixel_saliency(gradient).tolist() == [[0, 7], [0, 0]]


def test_smoothing_keeps_a_constant_and_the_sum_of_a_point_far_from_the_border():
    torch.testing.assert_close(smoothed(torch.full((9, 11), 0.7), 1.5), torch.full((9, 11), 0.7))
    point = torch.zeros(21, 21)
    point[10, 10] = 1
    blurred = smoothed(point, 1.5)
    torch.testing.assert_close(blurred.sum(), torch.tensor(1.0))
    torch.testing.assert_close(blurred, blurred.T)
    assert blurred[10, 10] == blurred.max() < 0.1
