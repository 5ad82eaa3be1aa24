from collections import Counter

import numpy as np
import pytest

from policy_examples.envs.published import PUBLISHED
from policy_examples.envs.tasks import (
    ACTIONS_PER_SECOND,
    TaskConfig,
    difficulty,
    open_environment,
    suite_of,
    task_names,
)
from policy_examples.formats.arrays import resize


def test_there_are_53_tasks_each_once():
    assert len(task_names()) == len(set(task_names())) == 53
    assert Counter(suite_of(task) for task in task_names()) == {"metaworld": 50, "adroit": 3}


def test_the_groups_are_dp3_s():
    """Its table has 28 easy, 11 medium, 6 hard, 5 very hard tasks of MetaWorld."""
    counts = Counter(difficulty(task) for task in task_names())
    assert counts == {"easy": 28, "medium": 11, "hard": 6, "very hard": 5, "adroit": 3}


def test_published_numbers_are_percentages_and_adroit_s_are_ranges():
    for published in PUBLISHED.values():
        low, high = published.image_dp
        assert 0 <= low <= high <= 100
        assert 0 <= published.dp3 <= 100
    assert PUBLISHED["handle-pull-side"].image_dp == (23, 23)
    assert PUBLISHED["adroit-hammer"].dp3 == 100
    assert PUBLISHED["adroit-pen"].image_dp == (13, 25)


@pytest.mark.parametrize("ask", [difficulty, suite_of, lambda task: open_environment(TaskConfig(task))])
def test_an_unknown_task_is_refused_with_the_closest_one_and_the_list(ask):
    with pytest.raises(ValueError, match=r"'adroit-hamer'. Did you mean 'adroit-hammer'\? .*adroit-door, .*assembly,"):
        ask("adroit-hamer")


def test_an_unknown_shift_is_refused_with_the_list():
    with pytest.raises(ValueError, match="accepted are .*'camera'.*, got 'earthquake'"):
        open_environment(TaskConfig("reach", shift="earthquake"))


@pytest.mark.parametrize("task", ["reach", "adroit-pen"])
def test_a_task_opens_as_it_is_configured(rendering, task):
    with open_environment(TaskConfig(task, image_size_px=40, render="fast", points=64)) as env:
        env.reset(seed=0)
        observation = env.observe()
    assert (env.task, env.image_size_px, env.points) == (task, 40, 64)
    assert observation["image"].shape == (40, 40, 3)
    assert observation["point_cloud"].shape == (64, 3)
    assert observation["agent_pos"].shape == (env.state_size,)


def test_a_frame_that_is_drawn_larger_is_resized_as_demonstrations_are_and_keeps_its_points(rendering):
    observations = []
    for size_px, rendered_px in ((40, None), (24, 40)):
        with open_environment(TaskConfig("reach", size_px, "fast", points=64, rendered_px=rendered_px)) as env:
            env.reset(seed=0)
            observations.append(env.observe())
    drawn, resized = observations
    assert np.array_equal(resized["image"], resize(drawn["image"][None], 24)[0])
    assert np.array_equal(resized["point_cloud"], drawn["point_cloud"])


@pytest.mark.parametrize("task", ["reach", "adroit-door"])
def test_the_stated_rate_of_actions_is_the_simulator_s(rendering, task):
    with open_environment(TaskConfig(task, 32, "fast")) as env:
        env.reset(0)
        before = env.simulator.data.time
        env.step(np.zeros(env.action_size, np.float32))
        assert env.simulator.data.time - before == pytest.approx(1 / ACTIONS_PER_SECOND[suite_of(task)])


def test_a_shift_changes_the_scene(rendering):
    images = []
    for shift in (None, "table-colour"):
        with open_environment(TaskConfig("reach", 40, "fast", shift=shift)) as env:
            env.reset(seed=0)
            images.append(env.observe()["image"].astype(float))
    assert abs(images[0] - images[1]).mean() > 1
