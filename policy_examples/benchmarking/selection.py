"""Rows of results -> those of one protocol."""

import shlex
from collections.abc import Callable, Sequence
from typing import Literal

from policy_examples.benchmarking.results import Row

Steps = int | Literal["preset"]
"""Optimizer steps of a run; `preset`: of the preset's own length, which no `--steps` of its command changed."""
PROTOCOL = ("preset", "demonstrations", "episodes")
CHOICES = ("preset", "demonstrations", "steps", "precision")
"""What `xdistill table` lets the user choose."""


def choose_protocol(
    rows: Sequence[Row],
    preset: str | None = None,
    demonstrations: int | None = None,
    steps: Steps | None = None,
    precision: str | None = None,
    protocol: Sequence[str] = PROTOCOL,
) -> list[Row]:
    """The rows that were asked for; what is None may be anything.

    Args:
        protocol: the columns in which they must be one.

    Raises:
        ValueError: there are none, or they are of several protocols.
    """
    kept = [
        row
        for row in rows
        if preset in (None, row.preset)
        and demonstrations in (None, row.demonstrations)
        and (steps in (None, row.steps) or (steps == "preset" and has_preset_length(row)))
        and precision in (None, row.precision)
    ]
    if not kept:
        wanted = zip(CHOICES, (preset, demonstrations, steps, precision), strict=True)
        asked = " ".join(f"--{name} {value}" for name, value in wanted if value is not None)
        raise ValueError(f"csv: expected rows{asked and f' of {asked}'}, got {_protocols(rows) or 'no rows'}.")
    differing = [name for name in protocol if len({getattr(row, name) for row in kept}) > 1]
    if differing:
        options = [f"--{name}" for name in differing if name in CHOICES]
        remedy = f"choose with {' or '.join(options)}" if options else "name only files of one number of episodes"
        raise ValueError(f"{', '.join(differing)}: expected rows of one protocol, got {_protocols(kept)}; {remedy}.")
    return kept


def has_preset_length(row: Row) -> bool:
    """Whether the run's command left its length to the preset."""
    return "--steps" not in shlex.split(row.command)


def require_equal_training(
    rows: Sequence[Row],
    label: Callable[[Row], str],
    columns: Sequence[str] = ("draw", "steps", "precision", "evaluations"),
) -> None:
    """Raise a ValueError where encoders learned from other draws, not as long, in another precision, or were not
    evaluated as often.

    That is on one task with one seed.

    All encoders share the demonstrations of a task and seed, so that epochs are as many steps for each.
    """
    unshifted = [row for row in rows if not row.shift]  # under a shift there is one evaluation
    for name in columns:
        compared = unshifted if name == "evaluations" else rows
        first: dict[tuple[str, int], Row] = {}
        for row in compared:
            other = first.setdefault((row.task, row.seed), row)
            if getattr(row, name) != getattr(other, name):
                length = "choose with --steps, where `preset` is the preset's own length, or leave"
                remedy = {"draw": "leave", "precision": "choose with --precision or leave"}.get(name, length)
                raise ValueError(
                    f"{name}: expected the same for every encoder on {row.task} with seed {row.seed}, got "
                    f"{getattr(other, name)} for {label(other)} and {getattr(row, name)} for {label(row)}; {remedy} "
                    "one out with --encoders."
                )


def _protocols(rows: Sequence[Row]) -> str:
    found = sorted({tuple(getattr(row, name) for name in PROTOCOL) for row in rows})
    return "; ".join(f"preset {name}, {demos} demonstrations, {episodes} episodes" for name, demos, episodes in found)
