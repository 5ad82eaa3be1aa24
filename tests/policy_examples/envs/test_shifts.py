import numpy as np
import pytest

from policy_examples.envs.adroit import Adroit
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.shifts import Shifted
from policy_examples.envs.tasks import TaskConfig, open_environment

pytestmark = pytest.mark.usefixtures("rendering")
VISUAL = ["camera", "light", "table-colour", "object-colour", "distractors"]
SEED = 1_000_000


def opened(task, shift=None):
    size_px = 84 if task.startswith("adroit-") else 96
    return open_environment(TaskConfig(task, size_px, "fast", shift=shift))


def test_an_unknown_shift_is_refused_with_the_list():
    with pytest.raises(ValueError, match="shift: accepted are 'position', 'camera', .*'push', got 'colour'"):
        opened("reach", "colour")


@pytest.mark.parametrize("shift", ["position", *VISUAL])
@pytest.mark.parametrize("task", ["drawer-open", "adroit-door"])
def test_a_shift_is_seen_and_follows_the_seed(task, shift):
    with opened(task) as env:
        env.reset(SEED)
        usual = env.observe()["image"].astype(int)
    with opened(task, shift) as env:
        frames = []
        for seed in (SEED, SEED + 1, SEED):
            env.reset(seed)
            frames.append(env.observe()["image"].astype(int))
    changed = np.abs(frames[0] - usual).max(axis=-1) > 10
    assert changed.mean() > 0.003
    assert np.array_equal(frames[0], frames[2])
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize("shift", VISUAL)
@pytest.mark.parametrize("task", ["pick-place", "adroit-hammer"])
def test_what_is_only_seen_leaves_the_physics_as_it_is(task, shift):
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 28)).astype(np.float32)
    states = []
    for name in (None, shift):
        with opened(task, name) as env:
            env.reset(SEED)
            for action in actions[:, : env.action_size]:
                env.step(action)
            states.append(np.concatenate([env.simulator.data.qpos, env.simulator.data.qvel]))
    assert np.array_equal(states[0], states[1])


@pytest.mark.parametrize("shift", VISUAL)
def test_the_expert_solves_the_task_as_soon_however_it_looks(shift):
    solved_after = []
    for name in (None, shift):
        with opened("button-press", name) as env:
            env.reset(SEED)
            solved_after.append(next(step for step in range(200) if env.step(env.expert_action())))
    assert solved_after[0] == solved_after[1]


def hand(env):
    return env.simulator.data.body("palm" if env.task.startswith("adroit-") else "hand").xpos.copy()


@pytest.mark.parametrize(
    ("task", "begins", "lasts", "moved_m"), [("reach", (20, 50), 10, 0.05), ("adroit-door", (10, 25), 5, 0.02)]
)
def test_a_push_moves_the_hand_for_a_twentieth_of_the_episode(task, begins, lasts, moved_m):
    """Two episodes of the same actions, pushed and not, are alike until the push begins, then part."""
    with opened(task) as usual, opened(task, "push") as pushed:
        usual.reset(SEED)
        pushed.reset(SEED)
        actions = np.zeros((begins[1] + lasts, usual.action_size), np.float32)
        apart = []
        for action in actions:
            usual.step(action)
            pushed.step(action)
            apart.append(np.linalg.norm(hand(usual) - hand(pushed)))
    first = int(np.flatnonzero(np.array(apart) > 1e-6)[0])
    assert begins[0] <= first <= begins[1]
    assert apart[first + lasts - 1] > moved_m
    assert actions.max() == 0  # the caller's own array is not written to


def test_a_pushed_episode_repeats_exactly():
    with opened("reach", "push") as env:
        places = []
        for seed in (SEED, SEED + 1, SEED):
            env.reset(seed)
            for _ in range(60):
                env.step(np.zeros(4))
            places.append(hand(env))
    assert np.array_equal(places[0], places[2])
    assert not np.allclose(places[0], places[1], atol=1e-3)


def test_distractors_lie_apart_on_the_table_and_are_part_of_the_point_cloud():
    with Shifted(MetaWorld("reach", image_size_px=96, render="fast", points=2048), "distractors") as env:
        env.reset(SEED)
        places = np.array([decoration.position_m for decoration in env.decorations])
        with_distractors = env.observe()["point_cloud"]
        env.decorations.clear()
        without = env.observe()["point_cloud"]
    assert len(places) == 5
    assert np.all((places[:, 2] > 0) & (places[:, 2] < 0.05))
    distances = np.linalg.norm(places[:, None, :2] - places[None, :, :2], axis=-1)
    assert distances[~np.eye(5, dtype=bool)].min() > 0.07

    def seen(cloud):
        """Distractors with a point of the cloud within 3 cm of their centre."""
        return (np.linalg.norm(cloud[:, None] - places[None], axis=-1).min(axis=0) < 0.03).sum()

    assert seen(with_distractors) >= 3
    assert seen(without) == 0


def test_objects_that_looked_alike_still_do_and_others_still_differ():
    """The pen's blue parts and the target's green ones; painting would otherwise make the task unsolvable."""
    with Shifted(Adroit("adroit-pen"), "object-colour") as env:
        env.reset(SEED)
        colour = {name: tuple(env.simulator.model.geom(name).rgba[:3]) for name in ("top", "cli", "t_top", "t_cli")}
    assert colour["top"] == colour["cli"]
    assert colour["t_top"] == colour["t_cli"]
    assert colour["top"] != colour["t_top"]
