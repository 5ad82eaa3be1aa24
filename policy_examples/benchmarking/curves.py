"""Success over the length of a training."""

from dataclasses import dataclass
from functools import partial

from policy_examples.benchmarking.comparison import Comparison
from policy_examples.benchmarking.results import curve_of
from policy_examples.benchmarking.statistics import Scores
from policy_examples.benchmarking.tables import over


@dataclass(frozen=True)
class Evaluation:
    """One of the evaluations that all runs have.

    A run is evaluated after whole epochs, which are as many steps as its demonstrations are long; so steps differ
    between runs, and hardly their share of the training.
    """

    share: float
    """Of the training's steps, in (0, 1], a mean over runs."""
    fewest: int
    """Optimizer steps of a run until then."""
    most: int


def evaluations_of(comparison: Comparison) -> list[Evaluation]:
    """In the order of the training; empty where rows differ in their number, or some do not tell."""
    if uneven(comparison):
        return []
    curves = [[step for step, _ in curve_of(row)] for row in comparison.rows]
    return [
        Evaluation(
            sum(step / row.steps for step, row in zip(steps, comparison.rows, strict=True)) / len(steps),
            min(steps),
            max(steps),
        )
        for steps in zip(*curves, strict=True)
    ]


def uneven(comparison: Comparison) -> bool:
    """Whether rows tell of different numbers of evaluations, or some do not tell."""
    return len({len(curve_of(row)) for row in comparison.rows}) > 1


def scores_at(comparison: Comparison, encoder: str, evaluation: int) -> Scores:
    """{task: {seed: success}} of an encoder at its evaluation 0, 1, ..."""
    scores: dict[str, dict[int, float]] = {}
    for row in comparison.rows_of(encoder):
        scores.setdefault(row.task, {})[row.seed] = curve_of(row)[evaluation][1]
    return scores


def over_training(comparison: Comparison, reference: str) -> str:
    """A row per encoder: its mean at each evaluation; a row per rival: how far the reference is ahead of it."""
    header = [
        f"{each.share:.0%} (step {'-'.join(map(str, dict.fromkeys((each.fewest, each.most))))})"
        for each in evaluations_of(comparison)
    ]
    return over(header, comparison.encoders, reference, partial(scores_at, comparison))
