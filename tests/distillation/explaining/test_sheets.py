import numpy as np
import torch
from PIL import Image

from distillation.explaining.sheets import draw_maps, draw_neighbours

IMAGES = [torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))] * 2


def colours(path) -> int:
    """How many colours a picture has; a blank one has one."""
    with Image.open(path) as picture:
        return len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))


def test_a_sheet_of_maps_has_a_column_a_network(tmp_path):
    maps = torch.rand(2, 3, 3, 3)
    for count in (1, 3):
        draw_maps(tmp_path / f"{count}.png", IMAGES, [(f"a network with a long name {n}", maps) for n in range(count)])
    with Image.open(tmp_path / "1.png") as narrow, Image.open(tmp_path / "3.png") as wide:
        assert wide.width == 2 * narrow.width
        assert wide.height == narrow.height
    assert colours(tmp_path / "3.png") > 100


def test_a_sheet_of_neighbours_has_a_row_for_every_image_and_network(tmp_path):
    neighbours = ("net", [[IMAGES[0]] * 3] * 2, torch.tensor([[0.9, 0.8, 0.7]] * 2))
    draw_neighbours(tmp_path / "one.png", IMAGES, [neighbours])
    draw_neighbours(tmp_path / "two.png", IMAGES, [neighbours, neighbours])
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert (two.width, two.height) == (one.width, 2 * one.height)
    assert colours(tmp_path / "two.png") > 100
