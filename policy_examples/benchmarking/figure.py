"""A comparison as a picture."""

from pathlib import Path

from policy_examples.benchmarking.comparison import Comparison, Metric
from policy_examples.benchmarking.markdown import METRICS
from policy_examples.benchmarking.statistics import Estimate, estimate
from policy_examples.benchmarking.tables import groups, paired_differences

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's, told apart by most eyes."""


def draw_comparison(comparison: Comparison, metric: Metric, reference: str, image: Path) -> None:
    """Write a PNG: means of each group of tasks, differences to the reference; bars are 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.5 + 0.3 * max(6, len(comparison.encoders)) + 1.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    named = {name: tasks for name, tasks in groups(comparison).items() if tasks}
    rivals = [encoder for encoder in comparison.encoders if encoder != reference]
    for index, encoder in enumerate(comparison.encoders):
        colour, offset = COLOURS[index % len(COLOURS)], (index - (len(comparison.encoders) - 1) / 2) * 0.1
        for place, tasks in enumerate(named.values()):
            found = estimate(comparison.scores(encoder, metric, tasks))
            left.errorbar(
                place + offset, 100 * found.mean, yerr=_reach(found), fmt="o", color=colour, capsize=2,
                label=encoder if place == 0 else None,
            )  # fmt: skip
        if encoder in rivals:
            gap = estimate(paired_differences(comparison, metric, reference, encoder))
            right.errorbar(100 * gap.mean, rivals.index(encoder), xerr=_reach(gap), fmt="o", color=colour, capsize=2)
    left.set_xticks(range(len(named)), [f"{name}\n({len(tasks)})" for name, tasks in named.items()])
    left.set_ylim(-3, 103)
    left.set_ylabel(f"success, %, {METRICS[metric]}", fontsize="small")
    left.grid(axis="y", alpha=0.3)
    left.legend(fontsize="small")
    right.axvline(0, color="black", linewidth=0.8)
    right.set_yticks(range(len(rivals)), rivals)
    right.set_ylim(max(1, len(rivals)) - 0.5, -0.5)
    right.set_xlabel(f"{reference} minus the other, percentage points, all tasks", fontsize="small")
    right.grid(axis="x", alpha=0.3)
    figure.savefig(image, dpi=120)


def _reach(found: Estimate) -> list[list[float]] | None:
    """How far the interval reaches below and above the mean, in percent, as matplotlib takes it."""
    if found.low is None or found.high is None:
        return None
    return [[100 * max(0.0, found.mean - found.low)], [100 * max(0.0, found.high - found.mean)]]
