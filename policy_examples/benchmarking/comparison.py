"""Rows of results -> what may be compared with what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from policy_examples.benchmarking.results import Row
from policy_examples.benchmarking.statistics import Scores, task_means
from policy_examples.benchmarking.suites import PAPER_COUNTS

Metric = Literal["best", "last", "top5"]
Identity = tuple[str, str, str, str]
"""encoder, checkpoint, norm, readout."""
BLIND = "blind"
BLIND_SHARE = 0.9
"""A task counts as solved by proprioception alone where `blind` reaches this share of the best encoder's success."""
ROUNDING = 1e-9
DIFFICULTIES = (*PAPER_COUNTS, "adroit", "dexart")


@dataclass(frozen=True)
class Comparison:
    """Rows of one protocol, each encoder on the same tasks with the same seeds."""

    rows: list[Row]
    """Without shift; only tasks and seeds that every encoder has."""
    shifted: list[Row]
    """Under a shift, as they are."""
    labels: dict[Identity, str]
    """{what tells encoders apart: how tables call it}, in the order of the file."""
    left_out: int
    """Rows without shift whose task and seed some encoder lacks."""
    solved_by_blind: frozenset[str]
    without_blind: frozenset[str]
    """Tasks that `blind` was not run on."""

    @property
    def encoders(self) -> list[str]:
        return list(self.labels.values())

    @property
    def tasks(self) -> dict[str, str]:
        """{task: difficulty}, from easy to very hard, then Adroit's."""
        found = {row.task: row.difficulty for row in self.rows}
        return dict(sorted(found.items(), key=lambda item: (DIFFICULTIES.index(item[1]), item[0])))

    def scores(self, encoder: str, metric: Metric, tasks: Sequence[str] | None = None) -> Scores:
        """What an encoder reached, by its label; `tasks` None is all of them."""
        rows = [row for row in self.rows if self.label(row) == encoder and (tasks is None or row.task in tasks)]
        return collect_scores(rows, metric)

    def rows_of(self, encoder: str) -> list[Row]:
        return [row for row in self.rows if self.label(row) == encoder]

    def label(self, row: Row) -> str:
        return self.labels[_identity(row)]


def compare(rows: Sequence[Row], encoders: Sequence[str] = (), preset: str | None = None) -> Comparison:
    """Choose the rows that may stand in one table.

    Args:
        encoders: names or labels to keep; none: all.
        preset: the protocol to keep; None where the rows have one alone.

    Raises:
        ValueError: an encoder or preset that no row has, rows of several protocols, two rows of one run, no task and
            seed that all encoders share.
    """
    rows = _one_protocol(rows, preset)
    labels = _labels(rows)
    chosen = _chosen(labels, encoders)
    unshifted = [row for row in rows if not row.shift]
    _require_unique(rows)
    runs = {label: {(row.task, row.seed) for row in unshifted if labels[_identity(row)] == label} for label in chosen}
    shared = set.intersection(*runs.values())
    if not shared:
        counts = ", ".join(f"{label} has {len(found)}" for label, found in runs.items())
        raise ValueError(
            f"encoders: expected a task and seed that all of them have, got none ({counts}); choose fewer."
        )
    of_chosen = [row for row in unshifted if labels[_identity(row)] in chosen]
    kept = [row for row in of_chosen if (row.task, row.seed) in shared]
    blind = [row for row in unshifted if row.encoder == BLIND]
    tasks = {row.task for row in kept}
    return Comparison(
        rows=kept,
        shifted=[row for row in rows if row.shift and labels[_identity(row)] in chosen],
        labels={identity: label for identity, label in labels.items() if label in chosen},
        left_out=len(of_chosen) - len(kept),
        solved_by_blind=solved_by_blind(unshifted) & tasks,
        without_blind=frozenset(tasks - {row.task for row in blind}),
    )


def solved_by_blind(rows: Sequence[Row], metric: Metric = "best") -> frozenset[str]:
    """Tasks on which `blind` reaches 90 % of the best encoder that sees, both over their seeds; never one at 0."""
    blind = task_means(collect_scores([row for row in rows if row.encoder == BLIND], metric))
    seeing = [
        task_means(collect_scores([row for row in rows if _identity(row) == identity], metric))
        for identity in {_identity(row) for row in rows if row.encoder != BLIND}
    ]
    best = {task: max(means.get(task, 0.0) for means in seeing) for task in blind} if seeing else {}
    return frozenset(task for task in best if best[task] > 0 and blind[task] >= BLIND_SHARE * best[task] - ROUNDING)


def collect_scores(rows: Sequence[Row], metric: Metric) -> dict[str, dict[int, float]]:
    """{task: {seed: success}} of one encoder's rows."""
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        value = getattr(row, metric)
        if value is not None:
            scores.setdefault(row.task, {})[row.seed] = value
    return scores


def _one_protocol(rows: Sequence[Row], preset: str | None) -> list[Row]:
    kept = [row for row in rows if preset in (None, row.preset)]
    protocols = sorted({(row.preset, row.demonstrations, row.episodes) for row in kept})
    if len(protocols) == 1:
        return kept
    found = sorted({(row.preset, row.demonstrations, row.episodes) for row in rows})
    said = "; ".join(f"preset {name}, {demos} demonstrations, {episodes} episodes" for name, demos, episodes in found)
    raise ValueError(f"preset: expected rows of one protocol, got {said or 'no rows'}; choose with --preset.")


def _identity(row: Row) -> Identity:
    return row.encoder, row.checkpoint, row.norm, row.readout


def _labels(rows: Sequence[Row]) -> dict[Identity, str]:
    """The encoder's name, with what tells it from others of that name."""
    identities = list(dict.fromkeys(map(_identity, rows)))
    labels = {}
    for identity in identities:
        namesakes = [other for other in identities if other[0] == identity[0]]
        differing = [identity[part] for part in (1, 2, 3) if len({other[part] for other in namesakes}) > 1]
        labels[identity] = f"{identity[0]} ({', '.join(differing)})" if differing else identity[0]
    return labels


def _chosen(labels: dict[Identity, str], encoders: Sequence[str]) -> list[str]:
    for name in encoders:
        if name not in labels.values() and name not in {identity[0] for identity in labels}:
            raise ValueError(f"encoders: expected some of {', '.join(labels.values())}, got {name!r}.")
    return [label for identity, label in labels.items() if not encoders or {label, identity[0]} & set(encoders)]


def _require_unique(rows: Sequence[Row]) -> None:
    seen: dict[tuple, Row] = {}
    for row in rows:
        run = (_identity(row), row.task, row.seed, row.shift)
        if run in seen:
            raise ValueError(
                f"csv: expected one row for {row.encoder} on {row.task} with seed {row.seed}, got two, of "
                f"{seen[run].steps} and {row.steps} steps; remove one."
            )
        seen[run] = row
