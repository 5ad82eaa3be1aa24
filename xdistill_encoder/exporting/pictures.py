"""Images on which an export is compared with PyTorch."""

from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import pil_to_tensor, resize

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def drawn_pictures(count: int, image_size: tuple[int, int]) -> Tensor:
    """(count, 3, H, W) uint8 clouds of every scale, whose spectrum resembles that of photographs."""
    generator = torch.Generator("cpu").manual_seed(0)
    clouds = torch.zeros(count, 3, *image_size, device="cpu")
    for cells in (2, 4, 8, 16, 32):
        noise = torch.randn(count, 3, cells, cells, generator=generator, device="cpu")
        clouds += F.interpolate(noise, size=image_size, mode="bicubic") / cells**0.5
    return (255 * clouds.sigmoid()).round().to(torch.uint8)


def read_pictures(folder: Path, count: int, image_size: tuple[int, int] | None) -> Tensor:
    """(N, 3, H, W) uint8, at most `count` images spread over all of a folder, resized; None: to the size of the first.

    Raises:
        ValueError: no such folder, no images in it, or one that cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"images: no folder {folder}")
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"images: no {', '.join(SUFFIXES)} in {folder}")
    chosen = [files[number * len(files) // min(count, len(files))] for number in range(min(count, len(files)))]
    pictures = [_decode(file) for file in chosen]
    size = image_size or pictures[0].shape[-2:]
    return torch.stack([resize(picture, list(size), antialias=True) for picture in pictures])


def _decode(file: Path) -> Tensor:
    try:
        with Image.open(file) as image:
            return pil_to_tensor(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"images: {file} cannot be read: {error}") from error
