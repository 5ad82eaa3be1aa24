"""Pictures of what features say of images: `xdistill explain features`."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

from distillation.datasets import open_images
from distillation.explaining.feature_maps import embed_all, maps_of, open_networks, read
from distillation.explaining.neighbours import nearest
from distillation.explaining.pca_colours import pca_colours
from distillation.explaining.sheets import draw_maps, draw_neighbours
from distillation.explaining.spreading import spread, with_shown
from distillation.provenance import describe_run
from distillation.scoring.encoders import CentreView
from distillation.sources.images import Images
from distillation.teachers import Embedding
from distillation.training.runlog import write_text

SHOWN_PX = 160
"""Side of an image in a sheet."""


@dataclass(frozen=True)
class Config:
    """Feature maps of encoders on images beside the teacher's tokens, and the nearest neighbours of each image."""

    images: tuple[str, ...]
    """Images to look at: files, folders, parquet or tar files, a Hub dataset, `zarr:DEMOS.zarr#img`, ..."""
    among: tuple[str, ...] = ()
    """Images among which neighbours are looked up, in the same forms; none: the other ones of `images`."""
    split: str = "train"
    """Of Hub datasets."""
    encoders: tuple[str, ...] = ()
    """Bundled names, folders, Hub ids, "timm/<model>", a ResNet as "torchvision/<model>" (":random" for an untrained
    one) or "random", an untrained ResNet-18; none: the default bundled checkpoint."""
    teacher: str | None = None
    """Spec, "timm/<model>", "hf/<org>/<name>" or a folder, whose patch tokens are drawn beside; None: none."""
    image_size: int | None = None
    """Side in px of an encoder's images: twice of it, four times the positions. None: as it was distilled, or 224."""
    teacher_image_size: int | None = None
    """Side in px of the teacher's images; None: that of its configuration."""
    embedding: Embedding = "cls"
    """Of the teacher, for its neighbours: [CLS], or "avg", the mean of its patch tokens."""
    count: int = 6
    """Images that are shown, at equal distances in `images`."""
    neighbours: int = 5
    """Neighbours of each."""
    most: int = 1000
    """Images of the set that are read, at equal distances in it."""
    batch_size: int = 32
    """Images a forward pass."""
    seed: int = 0
    """Of untrained weights."""
    output: Path = Path("features")
    """Folder of maps.png, neighbours.png, summary.json, which are written anew."""

    def __post_init__(self):
        for field in ("count", "neighbours", "most", "batch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: expected 1 or more, got {getattr(self, field)}")


def explain(config: Config, device: torch.device) -> dict[str, Any]:
    """Write the two sheets and the summary; returns the summary.

    Raises:
        ValueError: images that are missing or damaged, an unusable encoder or teacher, too few images.
        OSError: a teacher of the Hub that cannot be reached.
    """
    torch.manual_seed(config.seed)
    images = open_images(config.images, config.split)
    bank = open_images(config.among, config.split) if config.among else images
    networks = open_networks(
        config.encoders, config.image_size, config.teacher, config.teacher_image_size, config.embedding
    )
    shown = spread(len(images), config.count)
    pictures = [read(images, place) for place in shown]
    own = None if config.among else torch.arange(len(shown))
    places = spread(len(bank), config.most) if config.among else with_shown(shown, spread(len(bank), config.most))

    maps = [(network.name, pca_colours(maps_of(network, pictures, device))) for network in networks]
    known = embed_all(networks, bank, places, device, config.batch_size)
    asked = known if own is not None else embed_all(networks, images, shown, device, config.batch_size)
    found = [
        nearest(mine[: len(shown)], features, config.neighbours, own)
        for mine, features in zip(asked, known, strict=True)
    ]

    config.output.mkdir(parents=True, exist_ok=True)
    view = CentreView(SHOWN_PX)
    squares = [view(picture) for picture in pictures]
    draw_maps(config.output / "maps.png", squares, maps)
    rows = [
        (network.name, [[view(read(bank, places[i])) for i in some] for some in chosen.tolist()], cosines)
        for network, (chosen, cosines) in zip(networks, found, strict=True)
    ]
    draw_neighbours(config.output / "neighbours.png", squares, rows)
    answers = {
        network.name: describe(bank, places, chosen, cosines)
        for network, (chosen, cosines) in zip(networks, found, strict=True)
    }
    summary = {
        "config": asdict(config),
        "shown": [images.where(place) for place in shown],
        "searched_images": len(places),
        "neighbours": answers,
        **describe_run(),
    }
    write_text(config.output / "summary.json", json.dumps(summary, indent=2, default=str) + "\n")
    return summary


def describe(bank: Images, places: list[int], chosen: Tensor, cosines: Tensor) -> list[list[dict[str, Any]]]:
    """For each shown image its neighbours, with where they lie."""
    return [
        [
            {"image": bank.where(places[place]), "cosine": round(cosine, 4)}
            for place, cosine in zip(some, values, strict=True)
        ]
        for some, values in zip(chosen.tolist(), cosines.tolist(), strict=True)
    ]


def main() -> None:
    """Read the command line; write the sheets."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        config = tyro.cli(Config, prog="xdistill explain features", args=sys.argv[1:])
        explain(config, device)
    except (ValueError, OSError) as error:
        raise SystemExit(f"xdistill explain features: {error}") from error
    print(f"pictures: {config.output / 'maps.png'}, {config.output / 'neighbours.png'}")


if __name__ == "__main__":
    main()
