"""Images and teachers that the distillation bench runs on, written to its work folder."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import timm
import torch
from timm.models import save_for_hf


def parquet_files(folder: Path) -> list[Path]:
    """The images' files; raises ValueError where there are none."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise ValueError(f"images: no parquet file in {folder}; give a folder of files with a column `image`")
    return files


def at_least(files: list[Path], count: int) -> list[str]:
    """The files in turn, over and over, until they hold `count` images."""
    chosen, held = [], 0
    for file in itertools.cycle(files):
        if held >= count:
            break
        chosen.append(str(file.absolute()))
        held += pq.ParquetFile(file).metadata.num_rows
    return chosen


def first_images(files: list[Path], count: int, folder: Path) -> str:
    """A parquet file in `folder` with the first `count` images, written unless it is there; returns its path.

    Raises:
        ValueError: there are fewer.
    """
    path = folder / f"images-{count}.parquet"
    if not path.exists():
        tables, held = [], 0
        for file in files:
            if held < count:
                tables.append(pq.read_table(file, columns=["image"]).slice(0, count - held))
                held += len(tables[-1])
        if held < count:
            raise ValueError(f"images: expected {count} or more for these settings, got {held}")
        pq.write_table(pa.concat_tables(tables), path)
    return str(path)


def image_files(parquet: str, folder: Path) -> Path:
    """A folder of image files, as a peer reads them, written unless it is there."""
    if not folder.exists():
        folder.mkdir()
        for row, image in enumerate(pq.read_table(parquet).column("image").to_pylist()):
            suffix = ".webp" if image["bytes"][:4] == b"RIFF" else ".jpg"
            (folder / f"{row:06}{suffix}").write_bytes(image["bytes"])
    return folder


def random_teacher(architecture: str, folder: Path, **model: Any) -> Path:
    """A timm model with random weights in a folder; speed does not depend on their values."""
    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        made = timm.create_model(architecture, num_classes=0, **model)
        save_for_hf(made, str(folder), model_args=model, safe_serialization=True)
    return folder
