import colorsys

import pytest
import torch

from distillation.scoring.corruptions import BRIGHTNESS, CORRUPTIONS, NOISE_STD, blur, brightness, corrupted, noise


@pytest.fixture
def image():
    return torch.randint(0, 256, (3, 40, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_same_seed_and_index_give_the_same_images(image):
    first, again = corrupted(image, seed=1, index=5), corrupted(image, seed=1, index=5)
    assert tuple(first) == CORRUPTIONS
    for name in CORRUPTIONS:
        assert torch.equal(first[name], again[name])
        assert (first[name].shape, first[name].dtype) == (image.shape, torch.uint8)
        assert not torch.equal(first[name], image)


def test_noise_differs_between_images_and_between_seeds(image):
    assert not torch.equal(noise(image, 0, 1), noise(image, 0, 2))
    assert not torch.equal(noise(image, 0, 1), noise(image, 1, 1))


def test_noise_has_the_documented_strength():
    grey = torch.full((3, 200, 200), 128, dtype=torch.uint8)
    deviation = noise(grey, 0, 0).float() / 255 - 128 / 255
    assert deviation.std().item() == pytest.approx(NOISE_STD, rel=0.02)
    assert deviation.mean().item() == pytest.approx(0, abs=0.005)


def test_brightness_raises_the_value_and_leaves_hue_and_saturation(image):
    pixel = (image[:, 3, 4] / 255).tolist()
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
    wanted = colorsys.hsv_to_rgb(hue, saturation, min(1, value + BRIGHTNESS))
    assert (brightness(image)[:, 3, 4] / 255).tolist() == pytest.approx(wanted, abs=0.5 / 255 + 1e-6)


def test_black_turns_grey():
    black = torch.zeros(3, 2, 2, dtype=torch.uint8)
    assert brightness(black).unique().tolist() == [round(255 * BRIGHTNESS)]


def test_blur_leaves_a_flat_image_and_flattens_an_edge():
    flat = torch.full((3, 64, 64), 77, dtype=torch.uint8)
    assert torch.equal(blur(flat), flat)
    edge = torch.zeros(3, 224, 224, dtype=torch.uint8)
    edge[:, :, 112:] = 255
    blurred = blur(edge)[0, 100].float() / 255
    # one standard deviation, 3 px, beyond the edge between columns 111 and 112 lies the normal distribution's 0.841
    between = (blurred[114] + blurred[115]) / 2
    assert between.item() == pytest.approx(0.841, abs=0.01)
