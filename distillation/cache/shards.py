"""One shard of a teacher cache: a parquet file that appears whole or not at all."""

import os
import socket
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distillation.views import View, from_row

PARAMETERS = tuple(field.name for field in fields(View))
_DTYPES = {int: np.int32, bool: np.bool_, float: np.float64}
READ_ROWS = 512


def shard_table(
    index: np.ndarray,
    valid: np.ndarray,
    parameters: np.ndarray,
    embeddings: np.ndarray,
    patches: np.ndarray | None,
) -> pa.Table:
    """The rows of one view of n consecutive images.

    Args:
        index: (n,) int64, the images.
        valid: (n,) bool; False where an image is damaged: its parameters become null, its embedding NaN.
        parameters: (n, number of `PARAMETERS`) float64, the views.
        embeddings: (n, D) float16.
        patches: (n, P * g * g) float16, or None.
    """
    columns: dict[str, pa.Array] = {"index": pa.array(index), "valid": pa.array(valid)}
    for position, field in enumerate(fields(View)):
        values = np.where(valid, parameters[:, position], 0).astype(_DTYPES[field.type])  # type: ignore[index]
        columns[field.name] = pa.array(values, mask=~valid)
    for name, numbers in (("embedding", embeddings), ("patches", patches)):
        if numbers is not None:
            numbers = np.where(valid[:, None], numbers, np.float16(np.nan))
            columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), numbers.shape[1])
    return pa.table(columns)


def write_shard(path: Path, table: pa.Table) -> None:
    """Write a shard; a reader, or a process that writes the same shard, never sees a part of it.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.partial")
    dictionary = [name for name in table.column_names if name not in ("embedding", "patches")]
    try:
        with partial.open("wb") as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=dictionary, row_group_size=len(table))  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if not path.exists():
            raise OSError(
                f"targets: {path} could not be written: {error}; the shards before it are whole, make room and repeat "
                "the command, which computes the rest"
            ) from error
    for left_over in path.parent.glob(f".{path.name}.*.partial"):  # of builds that were killed
        left_over.unlink(missing_ok=True)


def read_column(path: Path, name: str, first: int) -> np.ndarray:
    """(n, width) float16 of one list column, once the rows were seen to be `first`, `first` + 1, ...

    Raises:
        ValueError: the file cannot be read, or holds other rows.
    """
    try:
        with pq.ParquetFile(path) as file:  # in batches: a list column read at once holds at most 2^31 numbers
            batches = list(file.iter_batches(READ_ROWS, columns=["index", name]))
        index = np.concatenate([batch.column("index").to_numpy() for batch in batches])
        numbers = np.concatenate([batch.column(name).flatten().to_numpy() for batch in batches])
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise ValueError(f"targets: {path} cannot be read ({error}); delete it and compute or download it") from error
    if not np.array_equal(index, np.arange(first, first + len(index))):
        raise ValueError(f"targets: {path} does not hold the rows from {first} on; delete it and compute it")
    return numbers.reshape(len(index), -1)


def damaged_rows(path: Path) -> list[int]:
    """The images of a shard that could not be read when it was computed.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        table = pq.read_table(path, columns=["index", "valid"])
        index, valid = table["index"].to_numpy(), table["valid"].to_numpy()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ValueError(f"targets: {path} cannot be read ({error}); delete it and compute or download it") from error
    return index[~valid].tolist()


def read_row(path: Path, position: int) -> tuple[View | None, np.ndarray]:
    """One row of a shard: its view, None of a damaged image, and its embedding, (D,) float16."""
    table = pq.read_table(path, columns=["valid", *PARAMETERS, "embedding"]).slice(position, 1)
    (row,) = table.drop_columns("embedding").to_pylist()
    return from_row(row) if row["valid"] else None, table["embedding"].combine_chunks().flatten().to_numpy()
