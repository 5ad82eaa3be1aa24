import itertools

import numpy as np
import pytest

from policy_examples.benchmarking.statistics import bootstrap_means, differences, estimate, task_means


def test_every_task_counts_the_same_whatever_its_number_of_seeds():
    scores = {"a": {0: 1.0, 1: 0.0, 2: 0.5, 3: 0.5}, "b": {0: 1.0}}
    assert task_means(scores) == {"a": 0.5, "b": 1.0}
    found = estimate(scores)
    assert (found.mean, found.tasks, found.runs) == (0.75, 2, 5)


def test_percentiles_are_those_of_all_equally_likely_draws():
    """Two tasks of three seeds: 3^3 draws each, 729 together, stretched by sqrt(3 / 2) about their means."""
    tasks = [np.array([0.1, 0.4, 0.9]), np.array([0.2, 0.3, 0.7])]
    draws = [
        [values.mean() + 1.5**0.5 * (np.mean(draw) - values.mean()) for draw in itertools.product(values, repeat=3)]
        for values in tasks
    ]
    exact = np.percentile([(left + right) / 2 for left in draws[0] for right in draws[1]], [2.5, 97.5])
    assert np.percentile(bootstrap_means(tasks, 20_000), [2.5, 97.5]) == pytest.approx(exact, abs=0.01)


def test_the_spread_of_the_bootstrap_is_the_one_that_variances_give():
    """The variance of a mean of n seeds is estimated by their values' unbiased variance / n, tasks add up / T^2."""
    tasks = [np.array([0.0, 1.0]), np.array([0.2, 0.4, 0.9]), np.array([0.5, 0.6])]
    variance = sum(values.var(ddof=1) / len(values) for values in tasks) / len(tasks) ** 2
    assert bootstrap_means(tasks, 200_000).std() == pytest.approx(variance**0.5, rel=0.01)


@pytest.mark.parametrize(("tasks", "seeds"), [(7, 2), (6, 3), (1, 10)])
def test_the_interval_covers_the_mean_about_as_often_as_it_says(tasks, seeds):
    """Draws of seeds whose true mean is 0.5, 0.1 apart: plain percentiles would cover 79, 86 and 89 % of them."""
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        scores = {str(task): dict(enumerate(random.normal(0.5, 0.1, seeds))) for task in range(tasks)}
        found = estimate(scores, samples=1_000)
        covered += found.low <= 0.5 <= found.high  # type: ignore[operator]
    assert 0.91 <= covered / 300 <= 0.995


def test_tasks_are_not_drawn_again():
    """However far the tasks lie apart, the interval is as wide as their seeds say."""
    near, far = ({task: {seed: at + 0.02 * seed for seed in range(3)} for task, at in pair} for pair in (
        (("a", 0.5), ("b", 0.5), ("c", 0.5)), (("a", 0.1), ("b", 0.5), ("c", 0.9))
    ))  # fmt: skip
    widths = [found.high - found.low for found in map(estimate, (near, far))]  # type: ignore[operator]
    assert widths[0] == pytest.approx(widths[1])


@pytest.mark.parametrize(
    "scores",
    [
        {"a": {0: 0.2}, "b": {5: 0.4}},
        {"a": {0: 0.2, 1: 0.4}},
        {task: {0: 0.2, 1: 0.4} for task in "abc"},
        {task: {0: 1.0, 1: 1.0} for task in "abcdefgh"},
        {**{task: {0: 1.0, 1: 1.0} for task in "abcdefgh"}, "other": {0: 0.2, 1: 0.4}},
        {**{task: {0: 0.2, 1: 0.4} for task in "abcdefgh"}, "tenth": {0: 0.9}},
    ],
    ids=[
        "one seed a task",
        "one task of two",
        "three tasks of two",
        "seeds that agree",
        "one task varies",
        "one task of one",
    ],
)
def test_seeds_that_tell_no_spread_leave_the_mean_without_interval(scores):
    found = estimate(scores)
    assert found.mean == pytest.approx(np.mean(list(task_means(scores).values())))
    assert (found.low, found.high) == (None, None)


def test_an_interval_ends_where_means_do():
    scores = {task: {0: 0.7, 1: 1.0} for task in "abcd"}
    assert estimate(scores).high == 1.0
    assert estimate(scores, limits=(-1, 2)).high > 1.0  # type: ignore[operator]


def test_the_same_scores_have_the_same_interval_at_every_call():
    scores = {"a": dict(enumerate((0.1, 0.9, 0.4, 0.5, 0.7)))}
    assert estimate(scores).low is not None
    assert estimate(scores) == estimate(scores)


def test_pairing_removes_what_both_encoders_share():
    """Seeds differ by 0.8, the encoders by 0.1 on each of them, give or take 0.01."""
    left = {task: {0: 0.1, 1: 0.9} for task in "abcd"}
    right = {task: {seed: value - 0.09 - 0.02 * seed for seed, value in seeds.items()} for task, seeds in left.items()}
    found = estimate(differences(left, right), limits=(-1, 1))
    assert found.mean == pytest.approx(0.1)
    assert found.high - found.low < 0.05  # type: ignore[operator]
    assert estimate(left).high - estimate(left).low > 0.5  # type: ignore[operator]


def test_only_shared_tasks_and_seeds_are_paired():
    left = {"a": {0: 0.5, 1: 0.5}, "b": {0: 1.0}, "c": {3: 0.0}}
    right = {"a": {1: 0.25, 2: 0.0}, "b": {0: 1.0}, "c": {4: 0.0}}
    assert differences(left, right) == {"a": {1: 0.25}, "b": {0: 0.0}}


def test_no_scores_have_no_mean():
    with pytest.raises(ValueError, match="scores: expected at least one task with a seed, got none"):
        estimate({})
