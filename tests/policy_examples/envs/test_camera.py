import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil

from policy_examples.envs.metaworld import MetaWorld

ROOT = Path(__file__).parents[3]


def run(code, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env={**kept, **environment}, cwd=ROOT, capture_output=True, text=True, check=False)


def test_importing_the_environment_sets_no_environment_variable_and_imports_no_simulator():
    code = """
import os, sys
before = dict(os.environ)
import policy_examples.envs.tasks
assert dict(os.environ) == before
assert not {"mujoco", "metaworld", "gymnasium_robotics", "minari"} & set(sys.modules)
"""
    assert run(code).stderr == ""


def test_a_machine_that_cannot_render_is_told_what_to_install():
    """PyOpenGL refuses EGL when it is told to use another platform, as it does where the library is missing."""
    code = "from policy_examples.envs.metaworld import MetaWorld; MetaWorld('reach')"
    failed = run(code, MUJOCO_GL="egl", PYOPENGL_PLATFORM="osmesa")
    assert failed.returncode != 0
    assert "MuJoCo cannot render without a window: MUJOCO_GL is 'egl'" in failed.stderr
    assert "sudo apt-get install -y libegl1 libgl1" in failed.stderr


def test_a_process_that_forgets_to_close_its_environment_leaves_without_a_traceback(rendering):
    code = """
from policy_examples.envs.metaworld import MetaWorld
env = MetaWorld("reach", image_size_px=32, render="fast")
env.reset(seed=0)
env.observe()
"""
    left = run(code)
    assert left.returncode == 0
    assert "Traceback" not in left.stderr


def test_closing_gives_opengl_s_memory_back_and_a_later_frame_opens_it_again(rendering):
    process = psutil.Process()
    with MetaWorld("reach", image_size_px=32, render="fast") as env:
        env.reset(seed=0)
        first = env.frame(32)
        env.close()
        before = process.memory_info().rss
        for _ in range(3):
            assert np.array_equal(env.frame(32), first)
            env.close()
        assert env.frames_rendered == 4
    assert process.memory_info().rss - before < 20e6  # an open context holds 50 MB and more
