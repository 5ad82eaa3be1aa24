import numpy as np
import pytest
import torch
from torch import nn

from distillation.datasets import LabelledImages
from distillation.scoring.corruptions import CORRUPTIONS, blur
from distillation.scoring.embedding import CLEAN, PreparedImages, embed
from distillation.scoring.encoders import CentreView
from distillation.sources.decoding import DamagedImage

CPU = torch.device("cpu")


class Flat:
    """Images of one grey each, 10 * index; one of them cannot be read."""

    fingerprint = "flat"
    shards = None

    def __init__(self, count: int, damaged: int | None):
        self.count = count
        self.damaged = damaged

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> torch.Tensor:
        if index == self.damaged:
            raise DamagedImage("truncated")
        return torch.full((3, 40 + index, 50), 10 * index, dtype=torch.uint8)

    def where(self, index: int) -> str:
        return f"flat row {index}"


def flat(count: int, damaged: int | None = None) -> LabelledImages:
    return LabelledImages(Flat(count, damaged), np.zeros(count, dtype=np.int64), None)


class Brightness(nn.Module):
    """(B, 3, H, W) uint8 -> (B, 2): the mean, and the side in px."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images.float().mean(dim=(1, 2, 3)), torch.full((len(images),), images.shape[-1])], dim=1)


@pytest.mark.parametrize("workers", [0, 2])
def test_features_come_in_the_order_of_the_images_each_view_through_its_network(workers):
    images = PreparedImages(flat(7), CentreView(32), {"large": CentreView(48)})
    networks = {CLEAN: Brightness(), "large": Brightness()}
    features = embed(networks, images, CPU, batch_size=3, workers=workers, title="images")
    torch.testing.assert_close(features[CLEAN], torch.tensor([[10.0 * i, 32] for i in range(7)]))
    torch.testing.assert_close(features["large"], torch.tensor([[10.0 * i, 48] for i in range(7)]))


def test_corruptions_are_of_the_prepared_view():
    items = PreparedImages(flat(3), CentreView(32), corruption_seed=0)
    assert set(CORRUPTIONS) < set(items[2])
    assert torch.equal(items[2]["blur"], blur(items[2][CLEAN]))


def test_an_image_that_cannot_be_read_is_named():
    images = PreparedImages(flat(7, damaged=4), CentreView(32))
    with pytest.raises(ValueError, match="queries: an image cannot be read, flat row 4: truncated; repair it"):
        embed({CLEAN: Brightness()}, images, CPU, batch_size=3, workers=1, title="queries")


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    embed({CLEAN: Brightness()}, PreparedImages(flat(3), CentreView(32)), CPU, batch_size=2, workers=1, title="images")
    assert torch.equal(torch.get_rng_state(), before)
