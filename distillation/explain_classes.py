"""A picture of how networks keep classes of images apart: `xdistill explain classes`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from timm.data import ImageNetInfo

from distillation.datasets import LabelledImages, open_labelled
from distillation.explaining.class_figure import Panel, draw_classes
from distillation.explaining.feature_maps import embed_all, open_networks
from distillation.explaining.neighbours import nearest
from distillation.explaining.plane import plane
from distillation.explaining.spreading import spread
from distillation.provenance import describe_run
from distillation.scoring.metrics import vote
from distillation.teachers import Embedding
from distillation.training.runlog import write_text

MOST_CLASSES = 20
"""More cannot be told apart in a picture."""


@dataclass(frozen=True)
class Config:
    """How far encoders and the teacher keep classes apart: t-SNE of labelled images, and their nearest neighbours."""

    images: tuple[str, ...]
    """Labelled images: parquet files with a column `label`, folders with a sub-folder for each class, a Hub dataset."""
    split: str = "validation"
    """Of a Hub dataset."""
    encoders: tuple[str, ...] = ()
    """Bundled names, folders, Hub ids, "timm/<model>", a ResNet as "torchvision/<model>" (":random" for an untrained
    one) or "random", an untrained ResNet-18; none: the default bundled checkpoint."""
    teacher: str | None = None
    """Spec, "timm/<model>", "hf/<org>/<name>" or a folder, that stands beside; None: none."""
    image_size: int | None = None
    """Side in px of an encoder's images. None: as it was distilled, or 224."""
    teacher_image_size: int | None = None
    """Side in px of the teacher's images; None: that of its configuration."""
    embedding: Embedding = "cls"
    """Of the teacher: [CLS], or "avg", the mean of its patch tokens."""
    classes: int = 10
    """Classes that are shown, those of most images; of equally many images the first ones."""
    most: int = 1000
    """Images of these classes that are read, at equal distances."""
    neighbours: int = 10
    """Of the accuracy over each panel; each image is classified by the other ones."""
    perplexity: float = 30.0
    """Of t-SNE: about how many neighbours an image has."""
    batch_size: int = 32
    """Images a forward pass."""
    seed: int = 0
    """Of untrained weights and of t-SNE."""
    output: Path = Path("classes")
    """Folder of classes.png and summary.json, which are written anew."""

    def __post_init__(self) -> None:
        if not 2 <= self.classes <= MOST_CLASSES:
            raise ValueError(f"classes: expected 2 to {MOST_CLASSES}, got {self.classes}")
        for name, least in {"most": 3, "neighbours": 1, "perplexity": 1, "batch_size": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected {least} or more, got {getattr(self, name)}")


def explain(config: Config, device: torch.device) -> dict[str, Any]:
    """Write the picture and the summary; returns the summary.

    Raises:
        ValueError: images without labels or damaged, an unusable encoder or teacher, too few images.
        OSError: a teacher of the Hub that cannot be reached.
    """
    torch.manual_seed(config.seed)
    images = open_labelled(config.images, config.split)
    shown = most_frequent(images.labels, config.classes)
    if len(shown) < 2:
        raise ValueError(f"images: expected two classes or more, got {len(shown)}, which is told from nothing")
    candidates = np.flatnonzero(np.isin(images.labels, shown))
    places = candidates[spread(len(candidates), config.most)].tolist()
    labels = np.searchsorted(shown, images.labels[places])
    networks = open_networks(
        config.encoders, config.image_size, config.teacher, config.teacher_image_size, config.embedding
    )
    panels = []
    for network, features in zip(
        networks, embed_all(networks, images.images, places, device, config.batch_size), strict=True
    ):
        rows, cosines = nearest(features, features, config.neighbours, own=torch.arange(len(features)))
        elected = vote(torch.from_numpy(labels)[rows], cosines, len(shown)).numpy()
        points = plane(features, config.perplexity, config.seed)
        panels.append(Panel(network.name, points, float((elected == labels).mean())))

    names = class_names(images, shown)
    config.output.mkdir(parents=True, exist_ok=True)
    draw_classes(config.output / "classes.png", panels, labels, names, config.neighbours)
    summary = {
        "config": asdict(config),
        "images": len(places),
        "classes": dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True)),
        "accuracy": {panel.name: round(panel.accuracy, 4) for panel in panels},
        **describe_run(),
    }
    write_text(config.output / "summary.json", json.dumps(summary, indent=2, default=str) + "\n")
    return summary


def most_frequent(labels: np.ndarray, count: int) -> np.ndarray:
    """(N,) int64 -> at most `count` labels that occur most often, ascending."""
    numbers, occurrences = np.unique(labels, return_counts=True)
    order = np.argsort(-occurrences, kind="stable")
    return np.sort(numbers[order[:count]])


def class_names(images: LabelledImages, shown: Sequence[int] | np.ndarray) -> list[str]:
    """What classes are called, each otherwise; ImageNet's WordNet ids ("n01440764") in words."""
    if images.names is None:
        return [f"class {number}" for number in shown]
    ids = set(ImageNetInfo().label_names())
    names = [images.names[number] for number in shown]
    words = [ImageNetInfo().label_name_to_description(name).split(",")[0] if name in ids else name for name in names]
    # ImageNet has two cranes, a bird and a machine
    return [f"{word} ({name})" if words.count(word) > 1 else word for word, name in zip(words, names, strict=True)]


def main() -> None:
    """Read the command line; write the picture."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        config = tyro.cli(Config, prog="xdistill explain classes", args=sys.argv[1:])
        summary = explain(config, device)
    except (ValueError, OSError) as error:
        raise SystemExit(f"xdistill explain classes: {error}") from error
    for name, accuracy in summary["accuracy"].items():
        print(f"{name}: {config.neighbours}-NN {100 * accuracy:.1f} % of {summary['images']} images")
    print(f"picture: {config.output / 'classes.png'}")


if __name__ == "__main__":
    main()
