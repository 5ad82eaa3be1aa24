import itertools

import numpy as np
import pytest

from policy_examples.benchmarking.statistics import bootstrap_means, differences, estimate, task_means


def test_every_task_counts_the_same_whatever_its_number_of_seeds():
    scores = {"a": {0: 1.0, 1: 0.0, 2: 0.5, 3: 0.5}, "b": {0: 1.0}}
    assert task_means(scores) == {"a": 0.5, "b": 1.0}
    found = estimate(scores)
    assert (found.mean, found.tasks, found.runs) == (0.75, 2, 5)


def test_the_interval_is_that_of_all_equally_likely_draws():
    """Two tasks of three seeds: 3^3 draws each, 729 together, whose percentiles the bootstrap approaches."""
    tasks = [np.array([0.1, 0.4, 0.9]), np.array([0.2, 0.3, 0.7])]
    draws = [[np.mean(draw) for draw in itertools.product(values, repeat=3)] for values in tasks]
    exact = np.percentile([(left + right) / 2 for left in draws[0] for right in draws[1]], [2.5, 97.5])
    found = estimate({name: dict(enumerate(values)) for name, values in zip("ab", tasks, strict=True)})
    assert found.low == pytest.approx(exact[0], abs=0.005)
    assert found.high == pytest.approx(exact[1], abs=0.005)


def test_the_spread_of_the_bootstrap_is_the_one_that_variances_give():
    """The variance of a mean of n draws is the values' variance / n; the mean over T tasks divides their sum by T^2."""
    tasks = [np.array([0.0, 1.0]), np.array([0.2, 0.4, 0.9]), np.array([0.5])]
    variance = sum(values.var() / len(values) for values in tasks) / len(tasks) ** 2
    assert bootstrap_means(tasks, 200_000).std() == pytest.approx(variance**0.5, rel=0.01)


def test_tasks_are_not_drawn_again():
    """Seeds that agree leave nothing to doubt, however far the tasks lie apart."""
    found = estimate({"a": {0: 0.0, 1: 0.0}, "b": {0: 1.0, 1: 1.0}})
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_one_seed_a_task_has_no_interval():
    found = estimate({"a": {0: 0.2}, "b": {5: 0.4}})
    assert found.mean == pytest.approx(0.3)
    assert found.low is None
    assert found.high is None


def test_one_task_of_one_seed_leaves_the_mean_without_interval():
    """Nine tasks whose seeds agree say nothing of the tenth, of which one seed is known."""
    scores = {f"{task}": {0: 0.5, 1: 0.5} for task in range(9)}
    assert estimate(scores).low == pytest.approx(0.5)
    found = estimate(scores | {"tenth": {0: 0.9}})
    assert found.mean == pytest.approx(0.54)
    assert (found.low, found.high) == (None, None)


def test_the_same_scores_have_the_same_interval_at_every_call():
    scores = {"a": {0: 0.1, 1: 0.9, 2: 0.4}}
    assert estimate(scores) == estimate(scores)


def test_pairing_removes_what_both_encoders_share():
    """Seeds differ by 0.8, the encoders by 0.1 on each of them: the difference is certain."""
    left = {"a": {0: 0.1, 1: 0.9}, "b": {0: 0.3, 1: 1.0}}
    right = {task: {seed: value - 0.1 for seed, value in seeds.items()} for task, seeds in left.items()}
    found = estimate(differences(left, right))
    assert (found.low, found.mean, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert estimate(left).high - estimate(left).low > 0.3  # type: ignore[operator]


def test_only_shared_tasks_and_seeds_are_paired():
    left = {"a": {0: 0.5, 1: 0.5}, "b": {0: 1.0}, "c": {3: 0.0}}
    right = {"a": {1: 0.25, 2: 0.0}, "b": {0: 1.0}, "c": {4: 0.0}}
    assert differences(left, right) == {"a": {1: 0.25}, "b": {0: 0.0}}


def test_no_scores_have_no_mean():
    with pytest.raises(ValueError, match="scores: expected at least one task with a seed, got none"):
        estimate({})
