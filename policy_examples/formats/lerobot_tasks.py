"""Tells which task each episode of a LeRobotDataset shows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.formats.episodes import option
from policy_examples.formats.lerobot_rows import Rows

_LISTED = 8
"""Tasks that an error names; some data sets have thousands."""


def choose_episodes(tasks: Sequence[tuple[str, ...]], task: str | None, root: Path) -> tuple[list[int], str | None]:
    """Numbers of the episodes to learn from, and what they show if the data set says so.

    Args:
        tasks: of each episode.
        task: the one to take, by episodes that show nothing else; None: the only one.

    Raises:
        ValueError: several tasks and none named, or no episode shows the named one alone.
    """
    known = sorted({name for shown in tasks for name in shown})
    if task is None:
        if len(known) > 1:
            raise ValueError(
                f"filter: {root} holds {len(known)} tasks, and no policy here is told which one to do; name the one to "
                f"learn ({option('filter')}): {_listing(known)}."
            )
        return list(range(len(tasks))), known[0] if known else None
    chosen = [number for number, shown in enumerate(tasks) if shown == (task,)]
    if not chosen:
        raise ValueError(
            f"filter: {root} has no episode that shows {task!r} alone; name one of its tasks or leave the filter out: "
            f"{_listing(known) or 'none is named there'}."
        )
    return chosen, task


def episode_tasks(root: Path, info: dict[str, Any], table: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The tasks of each episode in words, most often one; none where the data set names none.

    LeRobot goes by the index in the rows. What is listed with an episode counts where rows have no such column.

    Args:
        info: meta/info.json.
        table: facts of each episode: "length", perhaps "tasks".

    Raises:
        ValueError: the list of tasks, or the rows, are missing, damaged, or do not fit each other.
    """
    if "task_index" not in info["features"]:
        return [tuple(sorted(set(row.get("tasks") or ()))) for row in table]
    path = root / "meta" / ("tasks.jsonl" if info["codebase_version"].startswith("v2.") else "tasks.parquet")
    words = _words(path)
    if len(words) == 1:
        return [tuple(words.values())] * len(table)
    rows = Rows(root, [row["length"] for row in table], ["task_index"])
    shown = [np.unique(rows.read(number)["task_index"].to_pylist()).tolist() for number in range(len(table))]
    unknown = sorted({index for indices in shown for index in indices} - words.keys())
    if unknown:
        raise ValueError(
            f"demonstrations: rows of {root / 'data'} have task_index {unknown}, not one of the {len(words)} tasks "
            f"of {path}; copy the folder again."
        )
    return [tuple(words[index] for index in indices) for indices in shown]


def _words(path: Path) -> dict[int, str]:
    """Index -> task; in parquet, the words are the index of a pandas frame, which LeRobot leaves without a name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
            return {line["task_index"]: line["task"] for line in lines}
        table = pq.read_table(path)
        name = "task" if "task" in table.column_names else "__index_level_0__"
        return dict(zip(table["task_index"].to_pylist(), table[name].to_pylist(), strict=True))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise ValueError(
            f"demonstrations: the list of tasks {path} is missing or damaged ({error!r}); copy it again."
        ) from error


def _listing(tasks: Sequence[str]) -> str:
    others = f" and {len(tasks) - _LISTED} others" if len(tasks) > _LISTED else ""
    return ", ".join(map(repr, tasks[:_LISTED])) + others
