"""Success over the length of a training."""

from functools import partial

from policy_examples.benchmarking.comparison import Comparison
from policy_examples.benchmarking.results import curve_of
from policy_examples.benchmarking.statistics import Scores
from policy_examples.benchmarking.tables import over


def steps_of_evaluations(comparison: Comparison) -> list[tuple[int, int]]:
    """(fewest, most) optimizer steps at each evaluation; empty where rows differ in their number, or some do not tell.

    A run is evaluated after whole epochs, which are as many steps as its demonstrations are long.
    """
    curves = [[step for step, _ in curve_of(row)] for row in comparison.rows]
    if len({len(steps) for steps in curves}) > 1:
        return []
    return [(min(steps), max(steps)) for steps in zip(*curves, strict=True)]


def scores_at(comparison: Comparison, encoder: str, evaluation: int) -> Scores:
    """{task: {seed: success}} of an encoder at its evaluation 0, 1, ..."""
    scores: dict[str, dict[int, float]] = {}
    for row in comparison.rows_of(encoder):
        scores.setdefault(row.task, {})[row.seed] = curve_of(row)[evaluation][1]
    return scores


def over_training(comparison: Comparison, reference: str) -> str:
    """A row an encoder: its mean at each evaluation; a row a rival: how far the reference is ahead of it."""
    header = [f"step {'-'.join(map(str, dict.fromkeys(ends)))}" for ends in steps_of_evaluations(comparison)]
    return over(header, comparison.encoders, reference, partial(scores_at, comparison))
