"""The CSV in which every finished run has a row."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from filelock import FileLock

from policy_examples.whole_files import whole


@dataclass(frozen=True)
class Row:
    """One policy, evaluated during training, or after it under a shift; success is in [0, 1]."""

    suite: str
    """The suite that was asked for; empty where tasks were named without one."""
    task: str
    difficulty: str
    """easy, medium, hard, very hard; adroit for Adroit's tasks."""
    encoder: str
    checkpoint: str
    """Empty for encoders without one."""
    weights: str
    """The checkpoint's sha256 as training began, its first 12 digits; empty where there is none on record."""
    norm: str
    """Empty for encoders without a choice."""
    readout: str
    encoder_lr: float
    """The encoder's learning rate as a share of the head's; 0 where its weights stayed as they were."""
    seed: int
    draw: int
    """What the seed stands for on this task, whatever the encoder: placements of the demonstrations, noise of the
    training. The seed itself where all tasks share it."""
    preset: str
    precision: str
    """bf16 or fp32: what the training computed in."""
    demonstrations: int
    best: float | None
    """The best evaluation during training, the paper's number; None under a shift."""
    last: float
    """The evaluation of the finished policy."""
    top5: float | None
    """The mean of the five best evaluations, or of all where there are fewer; None under a shift."""
    curve: str
    """Each evaluation as "step:success", as `curve_text` writes it; empty under a shift."""
    evaluations: int
    """How many there were."""
    episodes: int
    """Of each evaluation."""
    shift: str
    """What differed from the demonstrations' scene; empty for nothing."""
    steps: int
    """Optimizer steps."""
    minutes: float
    """Training with its evaluations, or the evaluation under the shift; collecting demonstrations is not in it."""
    parameters: int
    """Of the encoder."""
    ms_per_frame: float | None
    """The encoder's median latency for one frame; None for the one that reads none."""
    image_size_px: int | None
    """Side of the image that the encoder computes on; None where it reads no image."""
    machine: str
    command: str
    """Repeats this run."""
    commit: str
    """Empty outside a checkout; FIRST..LAST of a training that went on with other code."""


def curve_text(evaluations: Iterable[tuple[int, float]]) -> str:
    """(optimizer step, success in [0, 1]) of each evaluation -> "200:0.5 400:0.75"."""
    return " ".join(f"{step}:{success}" for step, success in evaluations)


def curve_of(row: Row) -> list[tuple[int, float]]:
    """(optimizer step, success in [0, 1]) of each evaluation; none where the row does not tell.

    Raises:
        ValueError: the cell holds something else, or disagrees with the row's other cells.
    """
    if not row.curve:
        return []
    run = f"{row.encoder} on {row.task} with seed {row.seed}"
    try:
        curve = [(int(step), float(success)) for step, success in (part.split(":") for part in row.curve.split())]
    except ValueError as error:
        raise ValueError(
            f'csv: expected a curve such as "200:0.5 400:0.75" for {run}, got {row.curve!r}; mend the cell, or '
            "leave it empty."
        ) from error
    steps, rates = zip(*curve, strict=True)
    told = (row.evaluations, row.steps, row.best, row.last)
    if (len(curve), steps[-1], max(rates), rates[-1]) != told or sorted(set(steps)) != list(steps):
        raise ValueError(
            f"csv: expected a curve of {row.evaluations} evaluations to step {row.steps}, the best {row.best}, the "
            f"last {row.last}, for {run}, got {row.curve!r}; mend the cell, or leave it empty."
        )
    return curve


COLUMNS = tuple(field.name for field in fields(Row))
RATES = ("best", "last", "top5")
OUTCOME = ("best", "last", "top5", "commit")
"""What tells two trainings of one run apart."""


def append_rows(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to the file, which is created where it is missing; None is an empty cell.

    Raises:
        ValueError: the file has other columns.
    """
    before = read_rows(path) if path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in (*before, *rows))


def read_rows(path: Path) -> list[Row]:
    """All rows of the file.

    Raises:
        ValueError: there is no such file, it has other columns, or a cell is not what its column holds.
    """
    if not path.is_file():
        raise ValueError(f"csv: expected a file of results, got {path}; `xdistill benchmark` writes one.")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(
                f"csv: expected the columns {', '.join(COLUMNS)}, got {reader.fieldnames} in {path}; name another file."
            )
        return [_parse(cells, f"{path}:{reader.line_num}") for cells in reader]


def adopt_rows(source: Path, target: Path) -> set[str]:
    """Add to `target` the rows of `source` whose commands it lacks; returns all commands that it has then.

    Raises:
        ValueError: both have a row of one command, of two trainings; or `target` has two rows of one.
    """
    if not source.exists():
        return set(_by_command(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):  # other sweeps may write the same file
        return _adopt(read_rows(source), source, target)


def _by_command(path: Path) -> dict[str, Row]:
    rows = read_rows(path) if path.exists() else []
    known = {row.command: row for row in rows}
    if len(known) < len(rows):
        command, _ = Counter(row.command for row in rows).most_common(1)[0]
        raise ValueError(f"csv: expected each command once in {path}, got twice: {command}; take one of its rows out.")
    return known


def _adopt(found: Sequence[Row], source: Path, target: Path) -> set[str]:
    known = _by_command(target)
    for row in found:
        differing = [name for name in OUTCOME if getattr(known.get(row.command, row), name) != getattr(row, name)]
        if differing:
            raise ValueError(
                f"csv: expected the rows of {source} in {target}, got others of the same command, of another training "
                f"({', '.join(differing)} differ): {row.command}; take its rows out of {target}, or delete that folder."
            )
    missing = [row for row in found if row.command not in known]
    if missing:
        append_rows(target, missing)
    return known.keys() | {row.command for row in missing}


def _parse(cells: dict[Any, Any], place: str) -> Row:
    if None in cells or None in cells.values():
        count = len(cells.keys() - {None})
        raise ValueError(f"csv: expected {count} cells in {place}, got another number; mend the line.")
    kinds: dict[str, Any] = get_type_hints(Row)
    values: dict[str, Any] = {}
    for name, text in cells.items():
        kind = kinds[name]
        optional, number = kind in (float | None, int | None), int if kind in (int, int | None) else float
        try:
            values[name] = text if kind is str else None if optional and text == "" else number(text)
        except (TypeError, ValueError) as error:
            raise ValueError(f"csv: expected a number for {name} in {place}, got {text!r}; mend the line.") from error
        if name in RATES and values[name] is not None and not 0 <= values[name] <= 1:
            raise ValueError(f"csv: expected a share in [0, 1] for {name} in {place}, got {text!r}; mend the line.")
    return Row(**values)
