"""Tables of results in the CSV files that are committed."""

import csv
from collections.abc import Mapping
from pathlib import Path


def append_row(path: Path, row: Mapping[str, object]) -> None:
    """Add a row to a CSV file of the same columns, which is created where it is missing; None is an empty cell.

    Raises:
        ValueError: the file has other columns.
    """
    exists = path.exists()
    if exists:
        check_columns(path, list(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if not exists:
            writer.writeheader()
        writer.writerow(row)


def check_columns(path: Path, columns: list[str]) -> None:
    """Raise a ValueError where a CSV file has other columns."""
    with path.open(newline="") as file:
        present = next(csv.reader(file), [])
    if present != columns:
        raise ValueError(f"csv: {path} has columns {present}, the row has {columns}; give another file")


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows of a CSV file, cells as text.

    Raises:
        ValueError: there is no such file.
    """
    if not path.is_file():
        raise ValueError(f"csv: no file {path}")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
