from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policy_examples import demos
from policy_examples.explain.staged_frames import evenly, open_staged
from policy_examples.formats.episodes import Selection
from policy_examples.store import Demonstrations, save_demonstrations


@pytest.fixture
def stores(demonstrations, tmp_path) -> list[tuple[Path, Selection]]:
    """Demonstrations of two tasks, two episodes and one."""
    paths = [tmp_path / "reach.zarr", tmp_path / "push.zarr"]
    save_demonstrations(demonstrations, paths[0])
    other = Demonstrations(
        images=255 - demonstrations.images[:12],
        agent_pos=demonstrations.agent_pos[:12],
        actions=demonstrations.actions[:12],
        episode_ends=np.array([12]),
        origin=demonstrations.origin | {"task": "push", "seeds": [7]},
    )
    save_demonstrations(other, paths[1])
    return [(path, Selection()) for path in paths]


def test_frames_are_taken_at_equal_distances_from_the_first_to_the_last():
    assert evenly(9, 3).tolist() == [0, 4, 8]
    assert evenly(3, 9).tolist() == [0, 1, 2]
    assert evenly(200, 30)[[0, -1]].tolist() == [0, 199]


def test_every_frame_has_the_stage_and_the_episode_that_it_shows(stores, demonstrations):
    found = open_staged(stores[:1], "time", parts=3, frames_per_episode=100)
    assert found.episodes.tolist() == [0] * 12 + [1] * 9
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [0] * 3 + [1] * 3 + [2] * 3
    assert np.array_equal(found.images().numpy(), demonstrations.images.transpose(0, 3, 1, 2))
    assert [(stage.task, stage.number, stage.of) for stage in found.stages] == [("reach", i, 3) for i in (1, 2, 3)]


def test_several_tasks_are_one_long_task_whose_stages_follow_each_other(stores, demonstrations):
    found = open_staged(stores, "time", parts=2, frames_per_episode=4)
    assert [(stage.task, stage.number) for stage in found.stages] == [
        ("reach", 1), ("reach", 2), ("push", 1), ("push", 2)
    ]  # fmt: skip
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert found.episodes.tolist() == [0] * 8  # as many as the smaller store has
    assert np.array_equal(found.images()[4].numpy(), 255 - demonstrations.images[0].transpose(2, 0, 1))
    assert [fact["task"] for fact in found.facts] == ["reach", "push"]


def test_the_stages_of_two_experts_follow_each_other_as_those_of_one_long_task(rendering, tmp_path):
    """A door, then a drawer, as their experts open them: the drawer's stages count on from the door's."""
    paths = [tmp_path / "door.zarr", tmp_path / "drawer.zarr"]
    for task, path in zip(("door-open", "drawer-open"), paths, strict=True):
        config = demos.Config(task, episodes=2, image_size_px=32, render="fast", steps_after_success=0)
        save_demonstrations(demos.collect(config), path)
    found = open_staged([(path, Selection()) for path in paths], "expert", parts=3, frames_per_episode=40)
    of = {stage.task: stage.of for stage in found.stages}
    assert list(of) == ["door-open", "drawer-open"]
    assert [(stage.task, stage.number) for stage in found.stages] == [
        (task, number) for task in of for number in range(1, of[task] + 1)
    ]
    for episode in (0, 1):
        labels = found.labels[found.episodes == episode]
        assert np.unique(labels).tolist() == list(range(len(found.stages)))
        assert (np.diff(labels) >= 0).all()
    assert found.images().shape == (len(found.labels), 3, 32, 32)


def test_a_missing_store_says_how_to_make_it(tmp_path):
    path = tmp_path / "none.zarr"
    with pytest.raises(
        ValueError, match=f"there is no {path}; make it with `xdistill demos --task TASK --output {path}`"
    ):
        open_staged([(path, Selection())], "time", 3, 10)


def test_a_task_that_comes_twice_is_refused(stores):
    with pytest.raises(ValueError, match="demos: expected a task once, got reach, reach"):
        open_staged([stores[0], stores[0]], "time", 3, 10)


def test_no_store_is_refused():
    with pytest.raises(ValueError, match="demos: expected one store of demonstrations or more"):
        open_staged([], "time", 3, 10)


def test_frames_of_two_sizes_and_a_missing_camera_are_refused(stores, demonstrations, tmp_path):
    images = demonstrations.images[:, ::2, ::2]
    small = replace(demonstrations, images=images, origin=demonstrations.origin | {"task": "push"})
    save_demonstrations(small, tmp_path / "small.zarr")
    with pytest.raises(ValueError, match=r"expected frames of one size, got \[\(16, 16\), \(32, 32\)\]"):
        open_staged([stores[0], (tmp_path / "small.zarr", Selection())], "time", 3, 10).images()
    with pytest.raises(ValueError, match="these demonstrations have image, agent_pos; got 'image_wrist'"):
        open_staged(stores[:1], "time", 3, 10).images("image_wrist")
