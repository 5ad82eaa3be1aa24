"""Small demonstrations for the tests of policy_examples."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from policy_examples.envs.camera import RenderingError
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.store import Demonstrations

EXPERTS = Path(__file__).parents[3] / "shared" / "adroit_experts"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors this small are no work to share; threads that wait for each other make busy machines crawl."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def rendering():
    """Skip where neither EGL nor OSMesa can render, or fail if XDISTILL_NO_SKIPS is set."""
    try:
        with MetaWorld("reach", image_size_px=32, render="fast") as env:
            env.reset(0)
            env.frame(32)
    except RenderingError as error:
        if os.environ.get("XDISTILL_NO_SKIPS"):
            raise
        pytest.skip(f"this machine cannot render without a window: {error}")


@pytest.fixture(scope="session")
def adroit_experts():
    """The folder of DAPG's policies; without it tests skip, or fail if XDISTILL_NO_SKIPS is set."""
    if not EXPERTS.is_dir():
        if os.environ.get("XDISTILL_NO_SKIPS"):
            pytest.fail(f"XDISTILL_NO_SKIPS is set, and {EXPERTS} with Adroit's experts is not there")
        pytest.skip(f"Adroit's experts are not there: {EXPERTS}")
    return EXPERTS


@pytest.fixture
def demonstrations():
    """Two episodes of 12 and 9 steps, 32 px, random."""
    random = np.random.default_rng(0)
    return Demonstrations(
        images=random.integers(0, 256, (21, 32, 32, 3), dtype=np.uint8),
        agent_pos=random.normal(size=(21, 9)).astype(np.float32),
        actions=random.uniform(-1, 1, (21, 4)).astype(np.float32),
        episode_ends=np.array([12, 21]),
        origin={"env": "metaworld", "task": "reach", "render": "fast", "image_size_px": 32, "seeds": [3, 4]},
    )
