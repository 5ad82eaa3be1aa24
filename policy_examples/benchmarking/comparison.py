"""Rows of results -> what may be compared with what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from policy_examples.benchmarking.results import Row
from policy_examples.benchmarking.selection import Steps, choose_protocol, require_equal_training
from policy_examples.benchmarking.statistics import Scores, task_means
from policy_examples.benchmarking.suites import PAPER_COUNTS

Metric = Literal["best", "last", "top5"]
Identity = tuple[str, str, str, str, str]
"""encoder, checkpoint, norm, readout, how it learned."""
BLIND = "blind"
BLIND_SHARE = 0.9
"""A task counts as solved by proprioception alone where `blind` reaches this share of every other encoder's success."""
BLIND_FLOOR = 0.5
"""It must also solve half of the episodes: where all encoders fail, a lucky episode makes `blind` as good as any."""
ROUNDING = 1e-9
DIFFICULTIES = (*PAPER_COUNTS, "adroit", "dexart")


@dataclass(frozen=True)
class Comparison:
    """Rows of one protocol, each encoder on the same tasks with the same seeds; of these `blind` may lack some."""

    rows: list[Row]
    """Without shift; only tasks and seeds that all encoders have. `blind`, a control, has one seed per task or more."""
    shifted: list[Row]
    """Under a shift; only tasks and seeds of `rows` that every encoder has under it, but for those that have none."""
    labels: dict[Identity, str]
    """{what tells encoders apart: how tables call it}, in the order of the file."""
    left_out: int
    """Rows without shift whose task and seed some encoder lacks."""
    left_out_shifted: int
    """Rows under a shift that are left out alike."""
    solved_by_blind: frozenset[str]
    without_blind: frozenset[str]
    """Tasks on which `blind` shares no run with another encoder."""

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
        return self.labels[identity_of(row)]


def compare(
    rows: Sequence[Row],
    encoders: Sequence[str] = (),
    preset: str | None = None,
    demonstrations: int | None = None,
    steps: Steps | None = None,
    precision: str | None = None,
) -> Comparison:
    """Choose the rows that may stand in one table.

    Args:
        encoders: names or labels to keep; none: all.
        preset, demonstrations, steps, precision: the protocol to keep; None where the rows have one alone.

    Raises:
        ValueError: an encoder or protocol that no row has, rows of several protocols, two rows of one run, no task and
            seed that all encoders share, encoders that were trained or evaluated differently.
    """
    rows = choose_protocol(rows, preset, demonstrations, steps, precision)
    labels = label_encoders(rows)
    chosen = chosen_labels(labels, encoders)
    require_unique(rows)
    unshifted = [row for row in rows if not row.shift]
    of_chosen = [row for row in unshifted if labels[identity_of(row)] in chosen]
    under_shift = [row for row in rows if row.shift and labels[identity_of(row)] in chosen]
    runs = {label: {_run(row) for row in of_chosen if labels[identity_of(row)] == label} for label in chosen}
    shared = _shared_runs(runs)
    if not shared:
        counts = ", ".join(f"{label} has {len(found)}" for label, found in runs.items())
        raise ValueError(
            f"encoders: expected a task and seed that all of them have, got none ({counts}); choose fewer."
        )
    kept = [row for row in of_chosen if _run(row) in shared]
    of_shared = [row for row in under_shift if _run(row) in shared & runs[labels[identity_of(row)]]]
    shifted = _shared_under_shifts(of_shared, lambda row: labels[identity_of(row)])
    require_equal_training([*kept, *shifted], lambda row: labels[identity_of(row)])
    tasks, verdicts = {row.task for row in kept}, judge_blind(unshifted)
    return Comparison(
        rows=kept,
        shifted=shifted,
        labels={identity: label for identity, label in labels.items() if label in chosen},
        left_out=len(of_chosen) - len(kept),
        left_out_shifted=len(under_shift) - len(shifted),
        solved_by_blind=frozenset(task for task in tasks if verdicts.get(task)),
        without_blind=frozenset(tasks - verdicts.keys()),
    )


def judge_blind(rows: Sequence[Row], metric: Metric = "best") -> dict[str, bool]:
    """{task: whether `blind` solves it}, where `blind` and an encoder that sees have a seed in common.

    It solves half of the episodes, and reaches 90 % of each encoder that sees. Means are over the seeds that both have,
    trained and evaluated alike.
    """
    verdicts: dict[str, bool] = {}
    blind = [row for row in rows if row.encoder == BLIND]
    for identity in {identity_of(row) for row in rows if row.encoder != BLIND}:
        seeing = [row for row in rows if identity_of(row) == identity]
        both = set(map(_training, blind)) & set(map(_training, seeing))
        its, theirs = (
            task_means(collect_scores([row for row in each if _training(row) in both], metric))
            for each in (blind, seeing)
        )
        for task, mean in theirs.items():
            solves = its[task] >= max(BLIND_FLOOR, BLIND_SHARE * mean) - ROUNDING
            verdicts[task] = verdicts.get(task, True) and solves
    return verdicts


def collect_scores(rows: Sequence[Row], metric: Metric) -> dict[str, dict[int, float]]:
    """{task: {seed: success}} of one encoder's rows."""
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        value = getattr(row, metric)
        if value is not None:
            scores.setdefault(row.task, {})[row.seed] = value
    return scores


def _shared_runs(runs: Mapping[str, set[tuple[str, int]]]) -> set[tuple[str, int]]:
    """Tasks and seeds that all encoders have; of a task `blind` needs one of the others' seeds."""
    seeing = [found for label, found in runs.items() if label != BLIND]
    shared = set.intersection(*seeing or runs.values())
    controlled = {task for task, _ in shared & runs.get(BLIND, shared)}
    return {run for run in shared if run[0] in controlled}


def _shared_under_shifts(rows: Sequence[Row], label: Callable[[Row], str]) -> list[Row]:
    """Of each shift, the tasks and seeds that every encoder with rows under it has."""
    kept = []
    for shift in dict.fromkeys(row.shift for row in rows):
        its = [row for row in rows if row.shift == shift]
        runs = {name: {_run(row) for row in its if label(row) == name} for name in set(map(label, its))}
        shared = _shared_runs(runs)
        kept += [row for row in its if _run(row) in shared]
    return kept


def _run(row: Row) -> tuple[str, int]:
    return row.task, row.seed


def _training(row: Row) -> tuple[str, int, int, int, int, str]:
    return row.task, row.seed, row.draw, row.steps, row.evaluations, row.precision


def identity_of(row: Row) -> Identity:
    """What tells its encoder from others."""
    return row.encoder, row.checkpoint, row.norm, row.readout, learning(row)


def learning(row: Row) -> str:
    """How the encoder's weights learned, as tables have it."""
    return f"lr x {row.encoder_lr:g}" if row.encoder_lr else "weights fixed"


def label_encoders(rows: Sequence[Row]) -> dict[Identity, str]:
    """The encoder's name, with what tells it from others of that name."""
    identities = list(dict.fromkeys(map(identity_of, rows)))
    labels = {}
    for identity in identities:
        namesakes = [other for other in identities if other[0] == identity[0]]
        differing = [identity[part] or "none" for part in (1, 2, 3, 4) if len({other[part] for other in namesakes}) > 1]
        labels[identity] = f"{identity[0]} ({', '.join(differing)})" if differing else identity[0]
    return labels


def chosen_labels(labels: dict[Identity, str], encoders: Sequence[str]) -> list[str]:
    """The labels that were asked for by themselves or by the encoder's name; all where none was.

    Raises:
        ValueError: one that no row has.
    """
    for name in encoders:
        if name not in labels.values() and name not in {identity[0] for identity in labels}:
            raise ValueError(f"encoders: expected some of {', '.join(labels.values())}, got {name!r}.")
    return [label for identity, label in labels.items() if not encoders or {label, identity[0]} & set(encoders)]


def require_unique(rows: Sequence[Row]) -> None:
    """Raise a ValueError where two rows are of one encoder, task, seed and shift."""
    seen: dict[tuple, Row] = {}
    for row in rows:
        run = (identity_of(row), row.task, row.seed, row.shift)
        if run in seen:
            differing = [name for name in ("steps", "precision") if getattr(seen[run], name) != getattr(row, name)]
            found = " and ".join(
                f"{each.steps} steps in {each.precision}{each.weights and f' from weights {each.weights}'}"
                for each in (seen[run], row)
            )
            if seen[run].draw != row.draw:
                found += f", with draws {seen[run].draw} and {row.draw}"
            choice = f"choose with {' or '.join(f'--{name}' for name in differing)}, or " if differing else ""
            raise ValueError(
                f"csv: expected one row for {row.encoder} on {row.task} with seed {row.seed}, got two, of {found}; "
                f"{choice}remove one."
            )
        seen[run] = row
