import pytest
import torch
from torchvision.transforms.v2 import functional as tvf

from policy_examples.augmentation import Augmentation, centre_crop, recolour

HALF = 0.5  # the draw that changes no colour


@pytest.fixture
def images():
    """(3, 2, 3, 40, 48) uint8, in the middle of the range, so that no colour is clipped."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(90, 160, (3, 2, 3, 40, 48), dtype=torch.uint8, generator=generator)


def draws(rows, seed=0):
    return Augmentation().draw(rows, torch.Generator().manual_seed(seed))


def test_a_crop_is_a_square_of_the_frames_at_the_place_that_was_drawn(images):
    places = torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.5, 0.5]])
    cut = Augmentation(crop_px=32)(images, torch.cat([places, torch.full((3, 4), HALF)], dim=1))
    corners = [(0, 0), (8, 16), (4, 8)]  # of 9 x 17 places
    for row, (top, left) in enumerate(corners):
        assert torch.equal(cut[row], images[row, :, :, top : top + 32, left : left + 32])


def test_a_crop_may_have_a_height_and_a_width(images):
    places = torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.5, 0.5]])
    cut = Augmentation(crop_px=(36, 42))(images, torch.cat([places, torch.full((3, 4), HALF)], dim=1))
    for row, (top, left) in enumerate([(0, 0), (4, 6), (2, 3)]):  # of 5 x 7 places
        assert torch.equal(cut[row], images[row, :, :, top : top + 36, left : left + 42])


def test_place_and_colour_of_a_crop_are_drawn_apart(images):
    augmentation, drawn = Augmentation(crop_px=32, colour=0.3), draws(3)
    corner = torch.cat([torch.zeros(3, 2), drawn[:, 2:]], dim=1)
    recoloured = Augmentation(colour=0.3)(images, drawn)
    assert torch.equal(augmentation(images, corner), Augmentation(colour=0.3)(images[..., :32, :32], drawn))
    for column in range(2, 6):
        changed = drawn.clone()
        changed[:, column] = 1 - changed[:, column]
        assert not torch.equal(Augmentation(colour=0.3)(images, changed), recoloured)


def test_every_place_of_a_crop_is_drawn(images):
    frames = torch.arange(34, dtype=torch.uint8).expand(1, 1, 3, 34, 34)  # a pixel's value is its column
    seen = {Augmentation(crop_px=32)(frames, draws(1, seed))[0, 0, 0, 0, 0].item() for seed in range(30)}
    assert seen == {0, 1, 2}


def test_without_crop_and_colour_images_stay_as_they_are(images):
    assert torch.equal(Augmentation()(images, draws(3)), images)


def test_a_window_varies_by_its_own_draws_alone(images):
    augmentation, numbers = Augmentation(crop_px=32, colour=0.4), draws(3)
    together = augmentation(images, numbers)
    alone = torch.cat([augmentation(images[row : row + 1], numbers[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(together.int(), alone.int(), atol=1, rtol=0)
    assert len({tuple(window.flatten().tolist()) for window in together}) == 3


def test_the_frames_of_a_window_vary_together(images):
    still = images[:, :1].expand(-1, 2, -1, -1, -1)
    varied = Augmentation(crop_px=32, colour=0.4)(still, draws(3))
    assert torch.equal(varied[:, 0], varied[:, 1])


@pytest.mark.parametrize(
    ("column", "theirs"), [(0, tvf.adjust_brightness), (1, tvf.adjust_contrast), (2, tvf.adjust_saturation)]
)
@pytest.mark.parametrize("draw", [0.1, 0.9])
def test_brightness_contrast_and_saturation_are_torchvisions(images, column, theirs, draw):
    numbers = torch.full((3, 4), HALF)
    numbers[:, column] = draw
    ours = recolour(images.movedim(2, -1), 0.5, numbers).movedim(-1, 2)
    factor = 1 + 0.5 * (2 * draw - 1)
    for window, expected in zip(ours, images, strict=True):
        wide = torch.cat(list(expected), dim=-1)  # torchvision's mean is an image's, ours is a window's
        expected = torch.stack(theirs(wide, factor).chunk(2, dim=-1))
        torch.testing.assert_close(window.int(), expected.int(), atol=2, rtol=0)  # it rounds between its steps


def test_turning_the_hue_keeps_grey_and_turns_there_and_back(images):
    there, back = torch.tensor([[HALF, HALF, HALF, 0.7]]), torch.tensor([[HALF, HALF, HALF, 0.3]])
    pixels = images[:1].movedim(2, -1)
    turned = recolour(pixels, 1.0, there)
    assert (turned.int() - pixels.int()).abs().max() > 5
    torch.testing.assert_close(recolour(turned, 1.0, back).int(), pixels.int(), atol=2, rtol=0)
    grey = pixels[..., :1].expand(-1, -1, -1, -1, 3)
    torch.testing.assert_close(recolour(grey, 1.0, there).int(), grey.int(), atol=1, rtol=0)


def test_the_middle_is_cut_as_torchvision_does(images):
    assert torch.equal(centre_crop(images, (32, 32)), tvf.center_crop(images, [32, 32]))
    assert torch.equal(centre_crop(images, (36, 42)), tvf.center_crop(images, [36, 42]))


def test_a_crop_larger_than_the_frames_is_refused(images):
    with pytest.raises(ValueError, match="crop_px: expected at most the images' 40 x 48 px, got 41"):
        Augmentation(crop_px=41)(images, draws(3))
    with pytest.raises(ValueError, match="crop_px: expected at most the images' 40 x 48 px, got 40 x 49"):
        centre_crop(images, (40, 49))


def test_a_strength_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match=r"colour: expected a strength in \[0, 1\], got 1.5"):
        Augmentation(colour=1.5)
