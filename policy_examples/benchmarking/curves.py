"""Success over the length of a training."""

from policy_examples.benchmarking.comparison import Comparison
from policy_examples.benchmarking.results import curve_of
from policy_examples.benchmarking.statistics import Scores, differences
from policy_examples.benchmarking.tables import percent, table


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
    steps = steps_of_evaluations(comparison)
    rivals = {f"{reference} minus {rival}": rival for rival in comparison.encoders if rival != reference}

    def cells(line: str) -> list[str]:
        def cell(evaluation: int) -> str:
            if line not in rivals:
                return percent(scores_at(comparison, line, evaluation))
            its, theirs = (scores_at(comparison, encoder, evaluation) for encoder in (reference, rivals[line]))
            return percent(differences(its, theirs), signed=True)

        return [cell(evaluation) for evaluation in range(len(steps))]

    header = [f"step {'-'.join(map(str, dict.fromkeys(ends)))}" for ends in steps]
    return table(["", *header], [*comparison.encoders, *rivals], cells)
