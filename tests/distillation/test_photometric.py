import pytest
import torch
from torchvision.transforms.v2 import functional as tvf

from distillation.photometric import gaussian_blur, turn_hue


@pytest.fixture
def image():
    """(3, 20, 28) float in [0, 1] that holds noise, greys, and the corners of the colour cube."""
    image = torch.rand(3, 20, 28, generator=torch.Generator().manual_seed(0))
    image[:, 0] = image[:1, 0]
    image[:, 1, :8] = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).T
    return image


@pytest.mark.parametrize("turn", [-0.5, -0.31, -0.1, 0.0, 0.07, 1 / 3, 0.5])
def test_hues_turn_as_in_torchvision(image, turn):
    torch.testing.assert_close(turn_hue(image, turn), tvf.adjust_hue(image, turn), rtol=0, atol=1e-5)


def test_a_third_of_a_turn_makes_red_green_and_leaves_grey_alone():
    red_and_grey = torch.tensor([[1.0, 0.5], [0.0, 0.5], [0.0, 0.5]]).view(3, 1, 2)
    green_and_grey = torch.tensor([[0.0, 0.5], [1.0, 0.5], [0.0, 0.5]]).view(3, 1, 2)
    torch.testing.assert_close(turn_hue(red_and_grey, 1 / 3), green_and_grey)


@pytest.mark.parametrize("sigma_px", [0.2, 0.5, 1.0, 2.0])
def test_the_blur_is_torchvisions(image, sigma_px):
    kernel_px = 2 * int(-(-3 * sigma_px // 1)) + 1
    expected = tvf.gaussian_blur(image, [kernel_px, kernel_px], [sigma_px, sigma_px])
    torch.testing.assert_close(gaussian_blur(image, sigma_px), expected, rtol=0, atol=1e-5)
