import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from policy_examples.envs.chunked import Interface
from policy_examples.envs.tasks import TaskConfig
from policy_examples.envs.vector import open_vector

ROOT = Path(__file__).parents[3]
TASK = TaskConfig("reach", image_size_px=32, render="fast")
IMAGES = Interface(("image", "agent_pos"), observation_steps=2, action_steps=4, state_size=9, action_size=4)
BLIND = Interface(("agent_pos",), observation_steps=2, action_steps=4, state_size=9, action_size=4)
SEEDS: list[int | None] = [1_000_000, 1_000_001]


def processes_of(vector):
    """psutil's view of them, which outlives them."""
    return [psutil.Process(process.pid) for process in vector.processes]


def test_the_module_of_the_processes_imports_neither_torch_nor_a_simulator():
    code = "import sys, policy_examples.envs.vector as v; assert not {'torch', 'mujoco'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)


def test_two_processes_show_what_one_shows(rendering):
    actions = np.random.default_rng(0).uniform(-1, 1, (2, 4, 4)).astype(np.float32)
    with open_vector(TASK, IMAGES, processes=2) as vector:
        vector.reset(seed=SEEDS)
        side_by_side = {key: values.copy() for key, values in vector.step(actions)[0].items()}
        processes = processes_of(vector)
    assert not any(process.is_running() for process in processes)

    with open_vector(TASK, IMAGES, processes=1) as vector:
        for slot in range(2):
            vector.reset(seed=[SEEDS[slot]])
            alone = vector.step(actions[slot : slot + 1])[0]
            for key, values in alone.items():
                assert np.array_equal(values[0], side_by_side[key][slot])


def left_by(action, processes):
    """Play in two processes, which are noted, and do something in the midst of it."""
    with open_vector(TASK, BLIND, processes=2) as vector:
        vector.reset(seed=SEEDS)
        processes += processes_of(vector)
        action(vector)


def kill_the_first(vector):
    os.kill(vector.processes[0].pid, signal.SIGKILL)
    vector.step(np.zeros((2, 4, 4), np.float32))


def test_a_process_that_dies_is_reported_and_takes_the_others_along():
    processes = []
    with pytest.raises(ChildProcessError, match=r"1 of 2 of reach died \(exit code -9\).* ask for fewer"):
        left_by(kill_the_first, processes)
    assert not any(process.is_running() for process in processes)


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_an_error_in_the_calling_code_ends_the_processes_and_stays_what_it_is(error):
    def fail(vector):
        vector.step_async(np.zeros((2, 4, 4), np.float32))
        raise error

    processes = []
    with pytest.raises(error):
        left_by(fail, processes)
    assert not any(process.is_running() for process in processes)


@pytest.mark.filterwarnings("ignore:.*ERROR:UserWarning")  # gymnasium prints the traceback of the process
def test_a_mistake_that_only_the_processes_notice_is_raised_here():
    other = Interface(("agent_pos",), observation_steps=2, action_steps=4, state_size=24, action_size=28)
    with pytest.raises(ValueError, match="task: reach has sizes"), open_vector(TASK, other, 2) as vector:
        vector.reset(seed=SEEDS)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_unknown_task_is_refused_before_any_process_starts(processes):
    with pytest.raises(ValueError, match="unknown task 'raech'. Did you mean 'reach'"):  # noqa: SIM117
        with open_vector(TaskConfig("raech"), BLIND, processes):
            pass


def test_a_negative_number_of_processes_is_refused():
    with pytest.raises(ValueError, match="processes: expected 0 or more, got -1"), open_vector(TASK, BLIND, -1):
        pass
