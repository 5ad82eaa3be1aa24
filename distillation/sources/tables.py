"""Images in a column of a table: parquet files, or a dataset of the Hub."""

from collections.abc import Sequence
from functools import cached_property

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from torch import Tensor

from distillation.sources.decoding import DamagedImage, decode
from distillation.sources.fingerprint import fingerprint
from distillation.sources.folders import read_file
from xdistill_encoder.hub import on_one_line, transfer_errors

UNLABELLED = ("image",)
LABELLED = ("image", "label")
FILES = ("binary", "large_binary", "string", "large_string", "null")  # bytes, paths, or no bytes beside paths


class TableImages:
    """The column `image` of a memory-mapped table.

    Args:
        table: its column `image` holds encoded files, paths, or {bytes, path} of each.
        name: of the table, for people.
        files: (name, rows) of the files that follow each other in the table, where they are known.

    Raises:
        ValueError: the column `image` holds something else.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, table: datasets.Dataset, name: str, files: Sequence[tuple[str, int]] = ()):
        self.table = table
        self.name = name
        self.places = list(files) or [(name, len(table))]
        kind = table.features["image"]
        of_files = kind["bytes"] if isinstance(kind, dict) and "bytes" in kind else kind
        if not isinstance(of_files, datasets.Image) and getattr(of_files, "dtype", None) not in FILES:
            raise ValueError(f"images: expected encoded files in the column 'image' of {name}, got {kind}")
        self.stored = table.select_columns("image").cast_column("image", datasets.Image(decode=False))

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the number of images with the bytes of some."""
        return fingerprint(len(self), self.encoded)

    def encoded(self, index: int) -> bytes:
        """The file of one image, as it is stored; raises DamagedImage where there is none."""
        stored = self.stored[index]["image"]
        if stored is None or (stored["bytes"] is None and stored["path"] is None):
            raise DamagedImage("an empty cell of the table")
        return read_file(stored["path"]) if stored["bytes"] is None else stored["bytes"]

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        return decode(self.encoded(index))

    def where(self, index: int) -> str:
        """The file and the row in it."""
        for name, rows in self.places:
            if index < rows:
                return f"{name} row {index}"
            index -= rows
        raise IndexError(f"images: {len(self):,} rows, asked for one {index + 1:,} after the last")

    def labels(self) -> tuple[np.ndarray, tuple[str, ...] | None]:
        """The column `label`: class numbers (N,) int64, and the names of the classes where the table has them.

        Raises:
            ValueError: not whole numbers from 0 up.
        """
        values = np.asarray(self.table.select_columns("label").with_format("numpy")["label"][:])
        if values.dtype.kind not in "iu" or values.min() < 0:
            odd = [value for value in values.tolist() if not isinstance(value, int) or value < 0]
            raise ValueError(
                f"labels: expected class numbers from 0 up in the column 'label' of {self.name}, got {odd[:1]}"
            )
        kind = self.table.features["label"]
        return values.astype(np.int64), tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else None


def open_parquet(files: Sequence[str], columns: Sequence[str] = UNLABELLED) -> TableImages:
    """Images of parquet files, in the order of the files; raises ValueError as `load_parquet` does."""
    table = load_parquet(files, columns)
    return TableImages(table, ", ".join(files), [(file, pq.read_metadata(file).num_rows) for file in files])


def load_parquet(files: Sequence[str], columns: Sequence[str] | None = None) -> datasets.Dataset:
    """Columns of parquet files, or all, as one memory-mapped table, its rows in the order of the files.

    Raises:
        ValueError: a file that is not parquet, or lacks a column; files that do not fit together; no rows.
    """
    filled = []
    for file in files:
        try:
            metadata = pq.read_metadata(file)
        except pa.ArrowException as error:
            raise ValueError(f"images: {file} cannot be read as parquet: {error}") from error
        _require(columns or (), metadata.schema.to_arrow_schema().names, file)
        if metadata.num_rows:
            filled.append(file)
    if not filled:
        raise ValueError(f"images: no rows in {', '.join(files)}")
    wanted = None if columns is None else list(columns)
    try:
        return datasets.load_dataset("parquet", data_files=filled, columns=wanted, split="train")
    except DatasetGenerationError as error:
        reason = error.__cause__ or error
        raise ValueError(f"images: cannot be read as one table: {', '.join(files)}: {reason}") from error


def open_hub(name: str, split: str, columns: Sequence[str] = UNLABELLED) -> TableImages:
    """Some columns of one split of a Hub dataset as a memory-mapped table; downloads what is not there.

    Raises:
        ValueError: no such dataset or split, no access to it; a column that it lacks.
    """
    try:
        table = datasets.load_dataset(name, split=split)
    except (DatasetNotFoundError, ConnectionError) as error:
        raise ValueError(f"images: {name} is nothing on this machine, nor to be had from the Hub: {error}") from error
    except DatasetGenerationError as error:  # such as a disk that is full
        raise ValueError(f"images: {name} cannot be written as a table: {error.__cause__ or error}") from error
    except (ValueError, *transfer_errors()) as error:  # no such split, a data set that is code, a broken transfer
        raise ValueError(f"images: {name}: {on_one_line(error)}") from error
    _require(columns, table.column_names, name)
    return TableImages(table.select_columns(list(columns)), f"{name} {split}")


def _require(columns: Sequence[str], found: Sequence[str], name: str) -> None:
    for column in columns:
        if column not in found:
            raise ValueError(f"images: expected a column '{column}' in {name}, got columns {', '.join(found)}")
