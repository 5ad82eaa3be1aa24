import json

import pytest
import torch

from policy_examples.encoders import load_encoder
from policy_examples.envs.tasks import TaskConfig
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.training.evaluations import Evaluations, learned_task

ORIGIN = {"task": "reach", "image_size_px": 32, "render": "fast", "seeds": [0]}


@pytest.fixture
def evaluations(tmp_path):
    """Every 5 of 12 steps, one episode."""
    task = TaskConfig("reach", 32, "fast")
    return Evaluations(tmp_path, task, every=5, steps=12, steps_per_epoch=5, episodes=1, processes=1)


@pytest.fixture(scope="module")
def failing_policy():
    torch.manual_seed(0)
    shape = PolicyShape(9, 4, horizon=16, observation_steps=2, action_steps=8, channels=(8,), cameras=())
    return DiffusionPolicy(shape, [load_encoder("blind")]).eval()


def line(step, success):
    return {"step": step, "epoch": step / 5, "success": success, "episodes": 1}


def test_an_evaluation_is_due_every_so_many_steps_and_after_the_last_but_once(evaluations):
    assert [step for step in range(13) if evaluations.due(step)] == [5, 10, 12]
    evaluations.lines = [line(5, 0.0)]
    assert [step for step in range(13) if evaluations.due(step)] == [10, 12]


def test_a_run_that_goes_on_forgets_what_came_after_its_checkpoint(evaluations, tmp_path):
    lines = [line(5, 0.0), line(10, 1.0)]
    (tmp_path / "evaluations.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    evaluations.resume(7)
    assert evaluations.lines == lines[:1]
    evaluations.resume(0)  # another run, which begins
    assert evaluations.lines == []


@pytest.mark.usefixtures("rendering")
def test_the_best_policy_is_the_later_one_at_a_tie(evaluations, failing_policy, tmp_path):
    evaluations.lines = [line(5, 0.0)]
    evaluations.run(10, failing_policy, ORIGIN, stop=lambda: False)
    facts = {"step": 10, "epoch": 2.0, "success": 0.0, "selected_by_seeds": [1_000_000]}
    assert DiffusionPolicy.load(tmp_path / "best")[1] == {**ORIGIN, **facts}
    (raw,) = (tmp_path / "episodes-10.jsonl").read_text().splitlines()
    assert json.loads(raw)["success"] is False


@pytest.mark.usefixtures("rendering")
def test_a_policy_worse_than_the_best_is_not_kept(evaluations, failing_policy, tmp_path):
    evaluations.lines = [line(5, 1.0)]
    evaluations.run(10, failing_policy, ORIGIN, stop=lambda: False)
    assert not (tmp_path / "best").exists()
    assert json.loads((tmp_path / "evaluations.jsonl").read_text().splitlines()[1]) == line(10, 0.0)


@pytest.mark.usefixtures("rendering")
def test_an_evaluation_that_was_stopped_is_not_noted(evaluations, failing_policy, tmp_path):
    evaluations.run(5, failing_policy, ORIGIN, stop=lambda: True)
    assert not (tmp_path / "evaluations.jsonl").exists()
    assert evaluations.due(5)


def test_the_task_is_that_of_the_demonstrations_with_points_where_they_are_read():
    origin = {**ORIGIN, "points": 512}
    assert learned_task(origin, ("image", "agent_pos")) == TaskConfig("reach", 32, "fast", None)
    assert learned_task(origin, ("point_cloud", "agent_pos")) == TaskConfig("reach", 32, "fast", 512)
    with pytest.raises(
        ValueError, match="the demonstrations do not say their points, so that nothing can be evaluated"
    ):
        learned_task(ORIGIN, ("point_cloud", "agent_pos"))
