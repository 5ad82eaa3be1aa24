import numpy as np
import pytest
import torch
from PIL import Image

from distillation.explaining.feature_maps import encoder_network
from distillation.scoring.encoders import load_encoder
from distillation.space.answers import SHOWN_PX, ImageSet, map_colours, saliency

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pictures: a square of one colour at one place each, on noise."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = torch.Generator().manual_seed(0)
    for number in range(12):
        pixels = torch.randint(0, 256, (3, 80, 100), dtype=torch.uint8, generator=generator) // 4
        pixels[number % 3, 10 + number * 4 : 30 + number * 4, 5 * number : 5 * number + 30] = 255
        Image.fromarray(pixels.movedim(0, -1).numpy()).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module", params=[None, "timm/resnet18:random"])
def network(request):
    network = encoder_network(load_encoder(request.param, 64))
    network.pooled.eval()
    return network


def test_the_nearest_neighbour_of_a_picture_of_the_set_is_the_picture(network, folder):
    images = ImageSet([str(folder)], batch_size=5)
    picture = images.images.read(7)
    found = images.neighbours(network, picture, 3, CPU)
    assert [len(found), found[0].where.endswith("07.png")] == [3, True]
    torch.testing.assert_close(found[0].picture, picture)
    assert found[0].cosine == pytest.approx(1, abs=1e-5)
    assert found[0].cosine > found[1].cosine >= found[2].cosine


def test_of_a_small_set_all_images_are_neighbours_and_of_a_large_one_some_are_read(network, folder):
    few = ImageSet([str(folder / "01.png"), str(folder / "02.png")])
    assert len(few.neighbours(network, few.images.read(0), 8, CPU)) == 2
    assert ImageSet([str(folder)], most=4).places == [0, 3, 6, 9]


def test_the_shown_maps_have_the_size_of_the_page(network, folder):
    picture = ImageSet([str(folder)]).images.read(0)
    shown = saliency(network, picture, None, CPU)
    for map_ in (map_colours(network, picture, CPU), shown.positions, shown.pixels):
        assert (map_.shape, str(map_.dtype)) == ((SHOWN_PX, SHOWN_PX, 3), "uint8")


def test_another_neighbour_gives_another_saliency(network, folder):
    images = ImageSet([str(folder)]).images
    own, other = (saliency(network, images.read(0), towards, CPU) for towards in (None, images.read(5)))
    assert (own.positions != other.positions).any()
    assert (own.pixels != other.pixels).any()


def test_the_gradient_is_larger_on_the_only_thing_there_is_than_beside_it():
    network = encoder_network(load_encoder(None, 128))
    picture = torch.full((3, 128, 128), 128, dtype=torch.uint8)
    noise = torch.randint(0, 256, (3, 40, 40), generator=torch.Generator().manual_seed(0))
    picture[:, 40:80, 40:80] = noise.to(torch.uint8)
    shown = saliency(network, picture, None, CPU).pixels.astype(float)
    coloured = shown.max(axis=-1) - shown.min(axis=-1)
    scale = SHOWN_PX / 128
    inside = np.zeros_like(coloured, dtype=bool)
    inside[tuple(slice(round(40 * scale), round(80 * scale)) for _ in range(2))] = True
    assert coloured[inside].mean() > 1.3 * coloured[~inside].mean()
