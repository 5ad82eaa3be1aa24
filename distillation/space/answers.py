"""What encoders say of one picture, beside a set of images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distillation.datasets import open_images
from distillation.explaining.feature_maps import Network, embed_all, maps_of, read
from distillation.explaining.neighbours import nearest
from distillation.explaining.overlays import colours_beside, heat_over
from distillation.explaining.pca_colours import pca_colours
from distillation.explaining.resemblance import pixel_saliency, resemblance_map, smoothed
from distillation.explaining.spreading import spread
from distillation.scoring.encoders import CentreView
from distillation.sources.images import Images

SHOWN_PX = 320
"""Side of a picture on the page."""
SMOOTHING = 0.015
"""Of the gradient by pixels, relative to the side of the image."""


@dataclass(frozen=True)
class Neighbour:
    """An image of the set.

    Attributes:
        picture: (3, H, W) uint8.
        where: its place, for people.
        cosine: of the pooled features, in [-1, 1].
    """

    picture: Tensor
    where: str
    cosine: float


@dataclass(frozen=True)
class Saliency:
    """Where the resemblance to another picture comes from, (S, S, 3) uint8 both.

    Attributes:
        positions: the shares of the last map's positions.
        pixels: the gradient by the pixels.
        cosine: of the two last maps' means, whose shares these are; that of the pooled features where these are such
            means, as a ResNet's are.
    """

    positions: np.ndarray
    pixels: np.ndarray
    cosine: float


class ImageSet:
    """Images among which neighbours are looked up; features are computed once an encoder.

    Args:
        sources: as `open_images` takes them.
        split: of Hub data sets.
        most: so many are read, at equal distances.
        batch_size: images a forward pass.

    Raises:
        ValueError: sources that are not there, or hold no image.
    """

    def __init__(self, sources: Sequence[str], split: str = "train", most: int = 1000, batch_size: int = 32):
        self.images: Images = open_images(sources, split)
        self.places = spread(len(self.images), most)
        self.batch_size = batch_size
        self._features: dict[Network, Tensor] = {}

    def __len__(self) -> int:
        return len(self.places)

    def features(self, network: Network, device: torch.device) -> Tensor:
        """(N, D) float32; raises ValueError where an image cannot be read."""
        if network not in self._features:
            (found,) = embed_all([network], self.images, self.places, device, self.batch_size)
            self._features[network] = found
        return self._features[network]

    def neighbours(self, network: Network, picture: Tensor, count: int, device: torch.device) -> list[Neighbour]:
        """The most similar images, most similar first, all of them where there are fewer than `count`."""
        with torch.inference_mode():
            asked = network.pooled(network.prepare(picture)[None].to(device)).float().cpu()
        places, cosines = nearest(asked, self.features(network, device), min(count, len(self)))
        chosen = [self.places[place] for place in places[0].tolist()]
        return [
            Neighbour(read(self.images, place), self.images.where(place), cosine)
            for place, cosine in zip(chosen, cosines[0].tolist(), strict=True)
        ]


def as_seen(network: Network, picture: Tensor) -> Tensor:
    """The square that the encoder gets of a picture (3, H, W) uint8, at the page's size."""
    return CentreView(SHOWN_PX)(network.prepare(picture))


def map_colours(network: Network, picture: Tensor, device: torch.device) -> np.ndarray:
    """The last map of a picture (3, H, W) uint8 -> (S, S, 3) uint8: what is alike to the encoder has one colour."""
    return colours_beside(pca_colours(maps_of(network, [picture], device))[0], (SHOWN_PX, SHOWN_PX))


def saliency(network: Network, picture: Tensor, other: Tensor | None, device: torch.device) -> Saliency:
    """What of a picture makes it resemble another; None: what its features rest on, its resemblance to itself.

    The number behind both maps is the inner product of the two last maps' means; a cosine with itself has its maximum
    there, so that no gradient would be left.
    """
    image = network.prepare(picture)[None].to(device).float().div(255).requires_grad_()
    (feature_map,) = network.feature_map(image)
    mine = feature_map.mean(dim=(1, 2))
    theirs = mine.detach() if other is None else maps_of(network, [other], device)[0].mean(dim=(1, 2)).to(device)
    (gradient,) = torch.autograd.grad(mine @ theirs, image)
    shares = resemblance_map(feature_map.detach().cpu(), theirs.cpu())
    pixels = smoothed(pixel_saliency(gradient[0].cpu()), SMOOTHING * image.shape[-1])
    seen = as_seen(network, picture)
    return Saliency(heat_over(seen, shares), heat_over(seen, pixels), float(shares.sum()))
