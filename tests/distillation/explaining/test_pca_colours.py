import pytest
import torch

from distillation.explaining.pca_colours import pca_colours


def two_regions() -> torch.Tensor:
    """(2, 8, 6, 6): left and right half differ by more than the noise."""
    maps = 0.1 * torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    maps[:, 2, :, 3:] += 5
    return maps


def test_the_colours_of_a_map_of_two_regions_separate_the_regions():
    red = pca_colours(two_regions())[..., 0]  # (2, 6, 6)
    left, right = red[:, :, :3], red[:, :, 3:]
    assert left.max() < 0.2  # the largest weight of a component is positive, so that the right half is the bright one
    assert right.min() > 0.8


def test_colours_are_in_range_and_the_same_at_every_call():
    colours = pca_colours(two_regions())
    assert colours.shape == (2, 6, 6, 3)
    assert colours.dtype == torch.float32
    assert (colours.amin(dim=(0, 1, 2)) == 0).all()
    assert (colours.amax(dim=(0, 1, 2)) == 1).all()
    assert torch.equal(colours, pca_colours(two_regions()))


def test_what_is_alike_has_one_colour_in_all_images():
    maps = two_regions()[:1].repeat(2, 1, 1, 1)
    colours = pca_colours(maps)
    torch.testing.assert_close(colours[0], colours[1])


def test_the_first_component_is_that_of_a_singular_value_decomposition():
    maps = torch.randn(1, 5, 7, 7, generator=torch.Generator().manual_seed(1)) * torch.arange(1, 6).view(1, 5, 1, 1)
    positions = maps[0].flatten(1).T.double()
    left, values, _ = torch.linalg.svd(positions - positions.mean(dim=0), full_matrices=False)
    score = left[:, 0] * values[0]
    red = pca_colours(maps)[0, ..., 0].flatten().double()
    inside = (red > 0) & (red < 1)
    assert torch.corrcoef(torch.stack([score[inside], red[inside]]))[0, 1].abs() > 1 - 1e-6


def test_a_component_without_variance_is_grey():
    flat = pca_colours(torch.ones(1, 4, 3, 3))
    assert torch.equal(flat, torch.full((1, 3, 3, 3), 0.5))
    one = pca_colours(two_regions()[:, 2:3])
    assert torch.equal(one[..., 1:], torch.full((2, 6, 6, 2), 0.5))


def test_what_is_no_map_is_refused():
    with pytest.raises(ValueError, match=r"expected \(B, C, h, w\), got \(3, 4\)"):
        pca_colours(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="expected finite numbers"):
        pca_colours(torch.full((1, 2, 2, 2), torch.nan))
