import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from policy_examples.attempts import Plan
from policy_examples.collecting import first_successes, read_attempts
from policy_examples.envs.tasks import TaskConfig

PLAN = Plan(TaskConfig("reach", image_size_px=32, render="fast"), steps_after_success=3)


def collect(folder: Path, episodes: int, processes: int, done=lambda success: None, plan: Plan = PLAN):
    return first_successes(plan, folder, episodes, range(100), processes, done)


@pytest.mark.usefixtures("rendering")
class TestWithTheSimulator:
    def test_one_process_and_two_find_the_same_attempts(self, tmp_path):
        alone, together = tmp_path / "alone", tmp_path / "together"
        seeds = collect(alone, episodes=3, processes=1)
        assert collect(together, episodes=3, processes=2) == seeds
        first, second = read_attempts(alone, seeds, {}), read_attempts(together, seeds, {})
        assert first.lengths == second.lengths
        for index in range(3):
            for name, values in first.read(index).items():
                assert np.array_equal(values, second.read(index)[name])

    def test_what_a_killed_collection_left_is_not_played_again(self, tmp_path):
        collect(tmp_path, episodes=1, processes=1)
        written = (tmp_path / "0.npz").stat().st_mtime_ns
        (tmp_path / "2.partial").write_bytes(b"killed while writing")
        heard = []
        assert collect(tmp_path, 2, 1, done=heard.append) == [0, 1]
        assert (tmp_path / "0.npz").stat().st_mtime_ns == written
        assert heard == [True, True]

    def test_a_success_behind_an_attempt_nobody_finished_waits_for_it(self, tmp_path):
        collect(tmp_path, episodes=2, processes=1)
        (tmp_path / "0.npz").unlink()
        assert collect(tmp_path, episodes=1, processes=1) == [0]

    def test_failed_attempts_are_remembered_and_left_out(self, tmp_path):
        collect(tmp_path, episodes=1, processes=1)
        (tmp_path / "0.npz").unlink()
        (tmp_path / "0.failed").touch()
        assert collect(tmp_path, episodes=2, processes=1) == [1, 2]

    def test_a_folder_of_another_plan_is_refused(self, tmp_path):
        collect(tmp_path, episodes=1, processes=1)
        other = Plan(PLAN.task, steps_after_success=None)
        with pytest.raises(ValueError, match="began otherwise, .*'steps_after_success': 3.* delete it or name another"):
            collect(tmp_path, episodes=1, processes=1, plan=other)

    def test_a_process_that_dies_is_named_and_what_was_played_stays(self, tmp_path):
        def kill(success):
            for child in multiprocessing.active_children():
                child.kill()

        with pytest.raises(ChildProcessError, match="exit code -9.* the same command continues"):
            collect(tmp_path, episodes=4, processes=2, done=kill)
        assert list(tmp_path.glob("*.npz"))
        assert not multiprocessing.active_children()

    def test_an_error_of_another_process_arrives_here(self, tmp_path):
        plan = Plan(TaskConfig("drawer-opne", image_size_px=32), steps_after_success=None)
        with pytest.raises(ValueError, match="unknown task 'drawer-opne'. Did you mean 'drawer-open'"):
            collect(tmp_path, episodes=2, processes=2, plan=plan)
