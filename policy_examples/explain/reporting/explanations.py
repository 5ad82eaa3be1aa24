"""Finds what `xdistill explain` and `xdistill scorecard` left."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_examples.explain.reporting.jsonfiles import read_object

COURSE_FILE = "over_time.png"
SALIENCY_FILES = ("strip.png", "saliency.csv", "summary.json", COURSE_FILE)
"""Of a folder of `xdistill explain saliency`."""
EMBEDDING_FILES = ("embedding.png", "embedding.csv", "summary.json")
"""Of a folder of `xdistill explain embedding`."""
COLUMNS = {
    "saliency": ("step", "method", "encoder", "share", "area", "entropy"),
    "embedding": ("encoder", "method", "silhouette", "low", "high", "frames", "stages"),
}
"""Of their CSV files."""


@dataclass(frozen=True)
class Explanation:
    """A folder of `xdistill explain`."""

    folder: Path
    picture: Path
    films: list[Path]
    rows: list[dict[str, str]]
    """Of its CSV, which has all columns that are needed; cells as they are written."""
    summary: dict[str, Any]


@dataclass(frozen=True)
class Scorecard:
    """The JSON of `xdistill scorecard`."""

    path: Path
    scores: dict[str, Any]


@dataclass(frozen=True)
class Explanations:
    """What explains one run, or all of them."""

    saliency: list[Explanation]
    embeddings: list[Explanation]
    scorecards: list[Scorecard]


def explanations_within(folder: Path) -> Explanations:
    """Those that lie in a run's folder, up to two folders deep.

    Raises:
        ValueError: one lacks a file, or has a damaged one.
    """
    cards = [*folder.glob("scorecard*.json"), *folder.glob("*/scorecard*.json")]
    return open_explanations(_folders(folder, SALIENCY_FILES[0]), _folders(folder, EMBEDDING_FILES[0]), sorted(cards))


def open_explanations(saliency: Iterable[Path], embeddings: Iterable[Path], scorecards: Iterable[Path]) -> Explanations:
    """Those that were named.

    Raises:
        ValueError: one lacks a file, or has a damaged one.
    """
    return Explanations(
        [_open(folder, "saliency", SALIENCY_FILES) for folder in saliency],
        [_open(folder, "embedding", EMBEDDING_FILES) for folder in embeddings],
        [_scorecard(path) for path in scorecards],
    )


def _folders(folder: Path, name: str) -> list[Path]:
    return sorted(path.parent for pattern in (f"[!.]*/{name}", f"[!.]*/[!.]*/{name}") for path in folder.glob(pattern))


def _open(folder: Path, kind: str, names: Sequence[str]) -> Explanation:
    lacking = [name for name in names if not (folder / name).is_file()]
    if lacking:
        raise ValueError(
            f"{kind}: {folder} lacks {', '.join(lacking)}; `xdistill explain {kind} --output {folder}` writes them, "
            f"`xdistill explain {kind} --help` says from what."
        )
    rows = _rows(folder / names[1], COLUMNS[kind])
    return Explanation(
        folder, folder / names[0], sorted(folder.glob("[!.]*.mp4")), rows, read_object(folder / names[2])
    )


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV that must have these columns."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        lacking = [name for name in columns if name not in (reader.fieldnames or ())]
        if lacking:
            raise ValueError(f"runs: {path} lacks columns {', '.join(lacking)}; make it again, or remove its folder.")
        return [{name: row[name] or "" for name in columns} for row in reader]


def _scorecard(path: Path) -> Scorecard:
    if not path.is_file():
        raise ValueError(
            f"scorecard: expected a JSON file, got {path}; `xdistill scorecard --bank IMAGES --queries IMAGES "
            f"--output {path}` writes one."
        )
    scores = read_object(path)
    if "knn10_percent" not in scores:
        raise ValueError(f"scorecard: {path} has no knn10_percent; name a file of `xdistill scorecard --output`.")
    return Scorecard(path, scores)
