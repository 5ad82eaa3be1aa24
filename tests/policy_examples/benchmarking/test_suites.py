from collections import Counter
from statistics import mean

import pytest

from policy_examples.benchmarking.suites import NOTES, PAPER_COUNTS, suite_tasks
from policy_examples.envs.published import ADROIT, METAWORLD, PUBLISHED


def test_the_papers_suite_has_its_counts_but_for_dexart():
    tasks = suite_tasks("paper34")
    counts = Counter(PUBLISHED[task].difficulty for task in tasks)
    assert counts == {**PAPER_COUNTS, "adroit": 3}
    assert len(set(tasks)) == 32
    assert "paper34 is 32 tasks" in NOTES["paper34"]


def test_easy_tasks_that_are_left_out_are_perfect_for_image_diffusion_policy_already():
    easy = {task for task, published in METAWORLD.items() if published.difficulty == "easy"}
    left_out = easy - set(suite_tasks("paper34"))
    perfect = {task for task in easy if METAWORLD[task].image_dp == (100, 100)}
    assert left_out < perfect
    assert perfect - left_out == {"door-close"}  # 20 of 28 easy tasks are wanted, 19 are not perfect; a tie by alphabet


def test_other_tasks_are_the_ones_that_dp3_solves_most():
    tasks = suite_tasks("paper34")
    for difficulty in ("medium", "hard", "very hard"):
        group = [task for task in METAWORLD if METAWORLD[task].difficulty == difficulty]
        kept = [METAWORLD[task].dp3 for task in group if task in tasks]
        assert min(kept) > max(METAWORLD[task].dp3 for task in group if task not in tasks)
    assert {"assembly", "stick-push", "basketball", "sweep"} <= set(tasks)


def test_published_means_over_our_tasks_lie_near_the_papers():
    """The paper has 84.0 for PointNet-DP3 on its 29 tasks, 76.6 for ResNet-18 from scratch on its easy ones."""
    tasks = [task for task in suite_tasks("paper34") if task in METAWORLD]
    assert round(mean(METAWORLD[task].dp3 for task in tasks), 1) == 86.5
    assert round(mean(METAWORLD[task].image_dp[0] for task in tasks[:20]), 1) == 77.0


def test_the_other_suites_are_all_of_a_simulator_or_one_task():
    assert sorted(suite_tasks("metaworld50")) == sorted(METAWORLD)
    assert suite_tasks("adroit3") == sorted(ADROIT)
    assert len(suite_tasks("smoke")) == 1
    assert METAWORLD[suite_tasks("smoke")[0]].difficulty == "easy"


def test_an_unknown_suite_lists_the_known_ones():
    with pytest.raises(ValueError, match="suite: expected one of paper34, metaworld50, adroit3, smoke, got 'paper'"):
        suite_tasks("paper")  # type: ignore[arg-type]
