"""Reads the rows of one episode from the parquet files of a LeRobotDataset."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np


class Rows:
    """All rows of a data set are its files in alphabetical order, one episode after the other.

    That order, and not the file numbers in meta/episodes, is what LeRobot itself reads by: its converter from format 2
    writes some of these numbers wrong.

    Args:
        root: the data set's folder.
        lengths: rows of each episode.
        columns: what to read.

    Raises:
        ValueError: no files, a column is missing, or another number of rows.
    """

    def __init__(self, root: Path, lengths: Sequence[int], columns: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.root, self.columns = root, list(columns)
        self.starts = [0, *np.cumsum(lengths).tolist()]
        self._groups: list[tuple[Path, int]] = []
        self._group_starts = [0]
        for path in sorted((root / "data").rglob("*.parquet")):
            try:
                metadata, names = pq.read_metadata(path), pq.read_schema(path).names
            except (OSError, pa.ArrowException) as error:
                raise ValueError(f"demonstrations: {path} is damaged ({error}); copy it again.") from error
            missing = [column for column in (*columns, "episode_index") if column not in names]
            if missing:
                raise ValueError(f"demonstrations: {path} has no column {missing}; it has {', '.join(names)}.")
            for group in range(metadata.num_row_groups):
                self._groups.append((path, group))
                self._group_starts.append(self._group_starts[-1] + metadata.row_group(group).num_rows)
        if self._group_starts[-1] != self.starts[-1]:
            raise ValueError(
                f"demonstrations: {root / 'data'} has {self._group_starts[-1]} rows, {root / 'meta'} lists "
                f"{self.starts[-1]}; copy the folder again."
            )
        self._group = lru_cache(maxsize=1)(self._read_group)  # most files hold many episodes in one group

    def read(self, episode: int) -> dict[str, Any]:
        """Column -> its values, a pyarrow array each.

        Raises:
            ValueError: a damaged file, or rows of another episode.
        """
        import pyarrow as pa

        row, end = self.starts[episode], self.starts[episode + 1]
        parts = []
        while row < end:
            group = bisect_right(self._group_starts, row) - 1
            first, last = self._group_starts[group : group + 2]
            parts.append(self._group(group).slice(row - first, min(end, last) - row))
            row = min(end, last)
        table = pa.concat_tables(parts)
        if set(table["episode_index"].to_pylist()) != {episode}:
            raise ValueError(
                f"demonstrations: rows {self.starts[episode]} to {end} of {self.root / 'data'} are not of episode "
                f"{episode}, as {self.root / 'meta'} says; copy the folder again."
            )
        return {column: table[column] for column in self.columns}

    def _read_group(self, group: int) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path, number = self._groups[group]
        try:
            return pq.ParquetFile(path).read_row_group(number, columns=[*self.columns, "episode_index"])
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"demonstrations: {path} is damaged ({error}); copy it again.") from error
