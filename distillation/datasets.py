"""Image collections as map-style datasets of RGB tensors."""

import hashlib
import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path

import datasets
import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as tvf

from distillation.views import random_view, render

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?<!\.parquet)")


def load_table(sources: Sequence[str], split: str = "train") -> datasets.Dataset:
    """Parquet files, folders or globs, or one Hub dataset id -> a table with a column `image`.

    Args:
        sources: parquet files, folders that hold some, globs; or a single id such as "ILSVRC/imagenet-1k".
        split: of a Hub dataset.

    Raises:
        ValueError: nothing found, or no column `image`.
    """
    files = [file for source in sources for file in _parquet_files(source)]
    if files:
        table = datasets.load_dataset("parquet", data_files=files, split="train")
    elif len(sources) == 1 and HUB_ID.fullmatch(sources[0]) and not Path(sources[0]).parent.exists():
        table = datasets.load_dataset(sources[0], split=split)
    else:
        raise ValueError(
            f"images: no parquet file in {', '.join(sources) or 'an empty list'}; give files, folders or globs"
        )
    if "image" not in table.column_names:
        raise ValueError(f"images: expected a column 'image', got columns {', '.join(table.column_names)}")
    return table


def _parquet_files(source: str) -> list[str]:
    path = Path(source)
    if path.is_dir():
        return sorted(str(file) for file in path.glob("*.parquet"))
    return sorted(glob(source))


def fingerprint(table: datasets.Dataset, samples: int = 64) -> str:
    """Hash of the number of images with the bytes of some, spread evenly; the same wherever the files lie."""
    encoded = table.select_columns("image").cast_column("image", datasets.Image(decode=False))
    digest = hashlib.sha256(str(len(table)).encode())
    for row in range(0, len(table), max(1, len(table) // samples)):
        digest.update(encoded[row]["image"]["bytes"])
    return digest.hexdigest()[:16]


def rgb(image: Image) -> Tensor:
    """PIL image of any mode -> (3, H, W) uint8."""
    return tvf.pil_to_tensor(image.convert("RGB"))


class Views(Dataset):
    """One view of each image of a table, in an order of its own.

    Items are dicts: `index`, the row in the table; one (3, size, size) uint8 view for each entry of `sizes_px`, all
    of the same crop.

    Args:
        table: with a column `image`.
        order: rows in the order in which they are served.
        seed, epoch: with the row, what a view depends on.
        min_scale: smallest share of the image's area in a crop.
        sizes_px: name -> side of the view, for example {"student": 96, "teacher": 224}.
    """

    def __init__(
        self,
        table: datasets.Dataset,
        order: Sequence[int] | np.ndarray,
        seed: int,
        epoch: int,
        min_scale: float,
        sizes_px: dict[str, int],
    ):
        self.images = table.select_columns("image")
        self.order = order
        self.seed = seed
        self.epoch = epoch
        self.min_scale = min_scale
        self.sizes_px = sizes_px

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> dict[str, Tensor | int]:
        index = int(self.order[position])
        image = rgb(self.images[index]["image"])
        _, height, width = image.shape
        view = random_view(self.seed, self.epoch, index, (height, width), self.min_scale)
        return {"index": index} | {name: render(image, view, size) for name, size in self.sizes_px.items()}


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """The rows 0..count-1 shuffled, a pure function of (seed, epoch)."""
    generator = torch.Generator().manual_seed((seed << 20) + epoch)
    return torch.randperm(count, generator=generator)
