"""Means of success over tasks with bootstrap intervals.

The method is the stratified percentile bootstrap of Agarwal et al., "Deep Reinforcement Learning at the Edge of the
Statistical Precipice" (arXiv 2108.13264): the seeds of each task are drawn again with replacement, task by task; the
tasks stay. The interval says how far the mean over these tasks moves with other seeds, nothing about other tasks. With
n seeds a task the draws spread sqrt(1 - 1/n) as far as the mean does, which is too narrow for two or three. A task of
one seed would add nothing to the spread however unsure it is, so that with one there is no interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SAMPLES = 20_000
COVERAGE = 0.95

Scores = Mapping[str, Mapping[int, float]]
"""{task: {seed: success in [0, 1]}}; a task may have other seeds than its neighbour."""


@dataclass(frozen=True)
class Estimate:
    """A mean over tasks of means over seeds."""

    mean: float
    low: float | None
    """Lower end of the 95 % interval; None where a task has one seed alone, which leaves nothing to draw from."""
    high: float | None
    tasks: int
    runs: int


def estimate(scores: Scores, samples: int = SAMPLES) -> Estimate:
    """The mean over tasks, each task counting the same whatever its number of seeds, with its interval.

    Raises:
        ValueError: there is no score.
    """
    tasks = [np.array(list(seeds.values()), dtype=float) for _, seeds in sorted(scores.items()) if seeds]
    if not tasks:
        raise ValueError("scores: expected at least one task with a seed, got none.")
    mean = float(np.mean([values.mean() for values in tasks]))
    low = high = None
    if all(len(values) > 1 for values in tasks):
        tail = 100 * (1 - COVERAGE) / 2
        low, high = (float(end) for end in np.percentile(bootstrap_means(tasks, samples), [tail, 100 - tail]))
    return Estimate(mean, low, high, len(tasks), sum(map(len, tasks)))


def bootstrap_means(tasks: Sequence[np.ndarray], samples: int) -> np.ndarray:
    """(samples,): means over tasks, each task's seeds drawn with replacement; the same draws at every call."""
    random = np.random.default_rng(0)
    means = np.zeros(samples)
    for values in tasks:
        drawn = random.integers(len(values), size=(samples, len(values)))
        means += values[drawn].mean(axis=1) / len(tasks)
    return means


def differences(left: Scores, right: Scores) -> dict[str, dict[int, float]]:
    """left - right where both have the same task and seed, which share demonstrations and evaluation episodes."""
    paired = {
        task: {seed: value - right[task][seed] for seed, value in seeds.items() if seed in right[task]}
        for task, seeds in left.items()
        if task in right
    }
    return {task: seeds for task, seeds in paired.items() if seeds}


def task_means(scores: Scores) -> dict[str, float]:
    """{task: mean over its seeds}."""
    return {task: float(np.mean(list(seeds.values()))) for task, seeds in scores.items() if seeds}
