"""Rows of several numbers of demonstrations -> what may be compared with what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policy_examples.benchmarking.comparison import (
    BLIND,
    Identity,
    Metric,
    chosen_labels,
    collect_scores,
    identity_of,
    label_encoders,
    require_unique,
)
from policy_examples.benchmarking.results import Row
from policy_examples.benchmarking.selection import (
    Steps,
    choose_protocol,
    has_preset_length,
    require_equal_training,
)
from policy_examples.benchmarking.statistics import Scores

Runs = set[tuple[str, int]]
"""(task, seed)."""


@dataclass(frozen=True)
class CountComparison:
    """Rows without shift of one protocol but for the number of demonstrations.

    Encoders that see have the same tasks and seeds with each number; of these `blind` may lack seeds, the same with
    each number, but no task.
    """

    counts: list[int]
    """Numbers of demonstrations, from few to many."""
    rows: dict[str, list[Row]]
    """{label: rows of all numbers}, in the order of the file."""
    labels: dict[Identity, str]
    """{what tells encoders apart: how tables call it}, of those in `rows`."""
    left_out: list[str]
    """Labels of encoders that lack a number, or of `blind` where it lacks a task."""
    rows_left_out: int
    """Of the encoders that are not left out."""

    def scores(self, encoder: str, count: int, metric: Metric) -> Scores:
        return collect_scores([row for row in self.rows[encoder] if row.demonstrations == count], metric)


def compare_counts(
    rows: Sequence[Row],
    encoders: Sequence[str] = (),
    preset: str | None = None,
    steps: Steps | None = None,
    precision: str | None = None,
) -> CountComparison:
    """Choose the rows that may stand in one table over the number of demonstrations.

    Args:
        encoders: names or labels to keep; none: all.
        preset, steps, precision: the protocol to keep; None where the rows have one alone.

    Raises:
        ValueError: an encoder or protocol that no row has, rows of several protocols, two rows of one run; one number
            of demonstrations alone; no encoder, or no task and seed, that all numbers have; encoders that were trained
            or evaluated differently.
    """
    rows = choose_protocol(rows, preset, None, steps, precision, protocol=("preset", "episodes"))
    labels = label_encoders(rows)
    chosen = chosen_labels(labels, encoders)
    rows = [row for row in rows if not row.shift and labels[identity_of(row)] in chosen]
    counts = sorted({row.demonstrations for row in rows})
    if len(counts) < 2:
        raise ValueError(
            f"over: expected rows of several numbers of demonstrations, got those of {', '.join(map(str, counts))}; "
            "run `xdistill benchmark --demonstrations NUMBER` for another one."
        )
    runs: dict[str, list[Runs]] = {}
    for label in chosen:
        its = [row for row in rows if labels[identity_of(row)] == label]
        runs[label] = [{(row.task, row.seed) for row in its if row.demonstrations == count} for count in counts]
    kept = _runs_to_compare(runs, counts)
    found = {
        label: [row for row in rows if labels[identity_of(row)] == label and (row.task, row.seed) in its]
        for label, its in kept.items()
    }
    remaining = [row for its in found.values() for row in its]
    _require_comparable(remaining, labels)
    return CountComparison(
        counts=counts,
        rows=found,
        labels={identity: label for identity, label in labels.items() if label in found},
        left_out=[label for label in chosen if label not in found],
        rows_left_out=sum(labels[identity_of(row)] in found for row in rows) - len(remaining),
    )


def _runs_to_compare(runs: Mapping[str, Sequence[Runs]], counts: Sequence[int]) -> dict[str, Runs]:
    """{label: its runs with each number} -> {label: those that count}; `blind` costs the others none.

    Raises:
        ValueError: no encoder, or no task and seed, that all numbers have.
    """
    kept = {label: set.intersection(*each) for label, each in runs.items() if all(each)}
    seeing = [found for label, found in kept.items() if label != BLIND]
    shared = set.intersection(*seeing or kept.values()) if kept else set()
    if not shared:
        said = "; ".join(
            f"{label} has {', '.join(f'{len(found)} of {count}' for found, count in zip(each, counts, strict=True))}"
            for label, each in runs.items()
        )
        raise ValueError(
            "over: expected an encoder, a task and a seed with rows of every number of demonstrations, got none "
            f"({said}); choose fewer with --encoders."
        )
    if BLIND in kept and {task for task, _ in kept[BLIND] & shared} != {task for task, _ in shared}:
        kept.pop(BLIND)  # else its mean were over other tasks
    return {label: shared & its for label, its in kept.items()}


def _require_comparable(rows: Sequence[Row], labels: Mapping[Identity, str]) -> None:
    """Raise a ValueError where two rows are of one run, or runs were trained or evaluated differently.

    Steps may differ between numbers of demonstrations alone: a length in epochs is longer with more of them.
    """
    lengths = {"the preset's length" if has_preset_length(row) else row.steps for row in rows}
    if len(lengths) > 1:
        raise ValueError(
            f"steps: expected trainings of one length, got {', '.join(map(str, lengths))}; choose with --steps."
        )
    for count in {row.demonstrations for row in rows}:
        of_count = [row for row in rows if row.demonstrations == count]
        require_unique(of_count)
        require_equal_training(of_count, lambda row: labels[identity_of(row)])
    require_equal_training(
        rows,
        lambda row: f"{labels[identity_of(row)]} with {row.demonstrations} demonstrations",
        ("draw", "precision", "evaluations"),
    )
