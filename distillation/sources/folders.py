"""Images as files in folders."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from distillation.sources.decoding import DamagedImage, decode
from distillation.sources.fingerprint import fingerprint
from distillation.sources.names import Names

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".jp2", ".avif")


def is_image_name(path: str) -> bool:
    """A name with one of `SUFFIXES`, in capitals or not, that is not hidden."""
    return path.lower().endswith(SUFFIXES) and not os.path.basename(path).startswith(".")


def read_file(path: str) -> bytes:
    """The bytes of an image file; raises DamagedImage where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        raise DamagedImage("no such file: moved since it was listed, or a link that leads nowhere") from None
    except OSError as error:
        raise DamagedImage(f"not readable: {error.strerror}") from None


class FolderImages:
    """Image files of folders and all that is inside them, in the order of their names.

    Args:
        paths: folders, or single image files; their images follow each other in this order. Hidden files and folders,
            whose names begin with a dot, are left out.

    Raises:
        ValueError: a folder without images.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, paths: Sequence[str]):
        self.files = Names()
        self.roots: list[tuple[str, int]] = []  # (folder, number of images)
        with tqdm(desc="listing", unit="img", unit_scale=True, leave=False, delay=2) as bar:
            for path in paths:
                root = os.path.abspath(path)
                before = len(self.files)
                for file in [root] if os.path.isfile(root) else _image_files(root):
                    self.files.append(file)
                    bar.update()
                if len(self.files) == before:
                    raise ValueError(f"images: no image in {path}, which holds {_contents(root)}; {_advice(root)}")
                self.roots.append((root, len(self.files) - before))

    def __len__(self) -> int:
        return len(self.files)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the number of images with the bytes of some."""
        return fingerprint(len(self), self.encoded)

    def encoded(self, index: int) -> bytes:
        """The file of one image; raises DamagedImage."""
        return read_file(self.files[index])

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        return decode(self.encoded(index))

    def where(self, index: int) -> str:
        """The path of one image."""
        return self.files[index]

    def labels(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Numbers (N,) int64 of the sub-folders in which the images lie, with the sorted names of the sub-folders.

        Raises:
            ValueError: an image lies in no sub-folder.
        """
        names = []
        for root, count in self.roots:
            for _ in range(count):
                name, *inside = self.files[len(names)][len(root) + 1 :].split(os.sep)
                if not inside:
                    raise ValueError(f"labels: expected {root}/<class>/<image>, got {self.files[len(names)]}")
                names.append(name)
        classes, labels = np.unique(names, return_inverse=True)
        return labels.astype(np.int64), tuple(classes.tolist())


def _image_files(folder: str) -> Iterator[str]:
    """Image files in a folder and its sub-folders, sorted by name inside each."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not (entry.is_symlink() and _is_ancestor(os.path.realpath(entry.path), folder)):
                yield from _image_files(entry.path)
        elif is_image_name(entry.name):
            yield entry.path


def _is_ancestor(folder: str, inside: str) -> bool:
    """`inside` lies in `folder` or is it, so that following a link to it would never end."""
    return os.path.commonpath([folder, os.path.realpath(inside)]) == folder


def _contents(folder: str) -> str:
    """What files a folder holds, for people: "3 .txt, 1 .zip"."""
    suffixes = Counter(os.path.splitext(file)[1] or file for _, _, files in os.walk(folder) for file in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5)) or "no file"


def _advice(folder: str) -> str:
    """What to give in place of a folder without images."""
    for pattern in ("*.parquet", "*.tar"):
        if found := next(Path(folder).rglob(pattern), None):
            return f"give the folder of the {pattern} files, such as {found.parent}"
    return f"files with {', '.join(SUFFIXES)} are read"
