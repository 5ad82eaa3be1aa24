import numpy as np
import torch

from distillation.explaining.overlays import colours_beside, heat_over

PICTURE = torch.randint(0, 256, (3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_where_a_map_is_0_the_picture_stays_grey():
    half = torch.zeros(8, 12)
    half[:, 6:] = 1
    shown = heat_over(PICTURE, half)
    assert shown.shape == (8, 12, 3)
    grey = PICTURE.float().mean(dim=0).round().to(torch.uint8).numpy()
    assert (shown[:, :6] == grey[:, :6, None]).all()
    assert (shown[:, 6:, 0] > shown[:, 6:, 2]).all()  # the bright end is yellow


def test_brightness_is_relative_to_the_brightest_place_and_below_0_counts_as_0():
    saliency = torch.linspace(-1, 1, 96).view(8, 12)
    np.testing.assert_array_equal(heat_over(PICTURE, saliency), heat_over(PICTURE, 5 * saliency))
    np.testing.assert_array_equal(heat_over(PICTURE, saliency), heat_over(PICTURE, saliency.clamp(min=0)))


def test_a_map_of_zeros_leaves_the_grey_picture():
    shown = heat_over(PICTURE, torch.zeros(2, 3))
    assert (shown == shown[..., :1]).all()


def test_positions_become_plain_squares():
    colours = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])  # (1, 2, 3)
    squares = colours_beside(colours, (4, 8))
    assert squares.shape == (4, 8, 3)
    assert (squares[:, :4] == [255, 0, 0]).all()
    assert (squares[:, 4:] == [0, 255, 0]).all()


def test_a_single_bright_pixel_is_as_bright_as_can_be():
    lonely = torch.zeros(40, 40)
    lonely[3, 4] = 1e-3
    picture = torch.full((3, 40, 40), 128, dtype=torch.uint8)
    np.testing.assert_array_equal(heat_over(picture, lonely), heat_over(picture, 1000 * lonely))
    assert heat_over(picture, lonely)[3, 4].tolist() != [128, 128, 128]
