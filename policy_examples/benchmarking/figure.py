"""A comparison as a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from policy_examples.benchmarking import curves
from policy_examples.benchmarking.comparison import BLIND, Comparison, Metric
from policy_examples.benchmarking.markdown import METRICS
from policy_examples.benchmarking.statistics import Estimate, estimate, task_means
from policy_examples.benchmarking.tables import WITHOUT_BLIND, groups, paired_differences
from policy_examples.whole_files import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's, told apart by most eyes."""

FEW = 12
"""So many tasks stand each by itself; more are summed up by difficulty."""


def draw_comparison(comparison: Comparison, metric: Metric, reference: str, image: Path) -> None:
    """Write a PNG: means of tasks or groups of tasks, differences to the reference; bars are 95 % intervals.

    A task by itself has a small point for each seed in place of an interval. `blind`, the control, has no difference
    where others do. On the right stands success over the training, where rows tell it.
    """
    from matplotlib.figure import Figure

    shown = places(comparison)
    wide = max(8, 0.95 * len(shown))
    several = len(curves.evaluations_of(comparison)) > 1
    widths = (wide, 4, 3) if several else (wide, 4)
    height = 1.5 + 0.3 * max(6, len(comparison.encoders)) + 1.5
    figure = Figure(figsize=(sum(widths), height), layout="constrained")
    left, right, *over_training = figure.subplots(1, len(widths), width_ratios=widths)
    others = [encoder for encoder in comparison.encoders if encoder != reference]
    rivals = [encoder for encoder in others if encoder != BLIND] or others  # beside the control's all gaps are slivers
    name, compared = compared_tasks(comparison)
    for index, encoder in enumerate(comparison.encoders):
        colour, offset = COLOURS[index % len(COLOURS)], (index - (len(comparison.encoders) - 1) / 2) * 0.1
        for x, place in enumerate(shown):
            scores = comparison.scores(encoder, metric, place.tasks)
            found = estimate(scores)
            left.errorbar(
                x + offset, 100 * found.mean, yerr=None if place.seeds else reach(found), fmt="o",
                color=colour, capsize=2, label=encoder if x == 0 else None,
            )  # fmt: skip
            heights = [100 * score for score in scores[place.tasks[0]].values()]
            if place.seeds and len(heights) > 1:
                left.scatter([x + offset] * len(heights), heights, s=12, color=colour, alpha=0.6, linewidths=0)
        if encoder in rivals:
            gaps = paired_differences(comparison, metric, reference, encoder)
            gap = estimate({task: gaps[task] for task in compared if task in gaps}, limits=(-1, 1))
            right.errorbar(100 * gap.mean, rivals.index(encoder), xerr=reach(gap), fmt="o", color=colour, capsize=2)
    left.set_xticks(range(len(shown)), [place.label for place in shown], fontsize="small")
    left.set_ylim(-3, 103)
    left.set_ylabel(f"success, %, {METRICS[metric]}", fontsize="small")
    left.grid(axis="y", alpha=0.3)
    left.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    right.axvline(0, color="black", linewidth=0.8)
    right.set_yticks(range(len(rivals)), rivals)
    right.set_ylim(max(1, len(rivals)) - 0.5, -0.5)
    right.set_xlabel(f"{reference} minus the other, percentage points, {name}", fontsize="small")
    right.grid(axis="x", alpha=0.3)
    for axes in over_training:
        draw_curves(comparison, axes)
    with whole(image) as partial_image:
        figure.savefig(partial_image, dpi=120)


def draw_curves(comparison: Comparison, axes: "Axes") -> None:
    """Means over all tasks at each evaluation, against the share of the training until then."""
    shares = [100 * each.share for each in curves.evaluations_of(comparison)]
    for index, encoder in enumerate(comparison.encoders):
        scores = [task_means(curves.scores_at(comparison, encoder, at)) for at in range(len(shares))]
        means = [100 * sum(each.values()) / len(each) for each in scores]
        axes.plot(shares, means, marker="o", markersize=4, color=COLOURS[index % len(COLOURS)])
    axes.set_xlim(0, 105)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("share of the training, %, all tasks", fontsize="small")
    axes.grid(alpha=0.3)


def compared_tasks(comparison: Comparison) -> tuple[str, list[str]]:
    """What differences are over: the tasks that blind does not solve; all of them where it solves none, or all."""
    found = groups(comparison)
    if comparison.solved_by_blind and found[WITHOUT_BLIND]:
        return WITHOUT_BLIND, found[WITHOUT_BLIND]
    return "all tasks", found["all"]


@dataclass(frozen=True)
class Place:
    """What stands at one place of the axis.

    Attributes:
        label: below it.
        tasks: whose mean is drawn.
        seeds: it is one task by itself, each of its seeds a point.
    """

    label: str
    tasks: list[str]
    seeds: bool = False


def places(comparison: Comparison) -> list[Place]:
    """Few tasks one by one, many by difficulty; then all; then those that blind does not solve, if it solves any."""
    found = {name: Place(f"{name}\n({len(tasks)})", tasks) for name, tasks in groups(comparison).items() if tasks}
    means = [found.pop(name) for name in ("all", WITHOUT_BLIND) if name in found]
    if not comparison.solved_by_blind:
        means = means[:1]
    if len(comparison.tasks) > FEW:
        return [*found.values(), *means]
    mark = dict.fromkeys(comparison.solved_by_blind, "°")
    labels = {task: f"{task}{mark.get(task, '')}\n{difficulty}" for task, difficulty in comparison.tasks.items()}
    return [*(Place(label, [task], seeds=True) for task, label in labels.items()), *means]


def reach(found: Estimate) -> list[list[float]] | None:
    """How far the interval reaches below and above the mean, in percent, as matplotlib takes it."""
    if found.low is None or found.high is None:
        return None
    return [[100 * max(0.0, found.mean - found.low)], [100 * max(0.0, found.high - found.mean)]]
