"""What the extra `recipes` alone is enough for."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import numpy as np
import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from policy_examples.store import Demonstrations, save_demonstrations
from xdistill_encoder.cli import COMMANDS, SIMULATING

ROOT = Path(__file__).parents[1]
ELSEWHERE = {*SIMULATING, "policy_examples.export", "distillation.space.serve"}
"""Modules whose commands say in README that they need another extra."""


def distributions(requirements: list[str]) -> set[str]:
    """All that installing these brings, as far as it is installed here."""
    found, asked = set(), [Requirement(one) for one in requirements]
    followed = set()
    while asked:
        one = asked.pop()
        if (one.name, frozenset(one.extras)) in followed:
            continue
        followed.add((one.name, frozenset(one.extras)))
        found.add(canonicalize_name(one.name))
        try:
            needed = [Requirement(line) for line in distribution(one.name).requires or []]
        except PackageNotFoundError:  # for another platform
            continue
        extras = {"", *one.extras}
        asked += [
            need for need in needed if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras)
        ]
    return found


@pytest.fixture(scope="module")
def without_others() -> str:
    """Lines of Python after which no package can be imported that `recipes` does not bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = distributions(project["dependencies"] + project["optional-dependencies"]["recipes"])
    assert {"torch", "tyro", "zarr", "gymnasium"} <= brought
    others = {
        package
        for package, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & {*brought, "xdistill-encoder"}
    }
    assert {"mujoco", "metaworld", "imageio", "pytest"} <= others
    return f"import sys\nsys.modules |= dict.fromkeys({sorted(others)})\nsys.path.insert(0, {str(ROOT)!r})\n"


def run(lines: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", lines], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_that_play_no_task_start_with_the_recipes_alone(without_others, tmp_path):
    modules = sorted({module for module, _ in COMMANDS.values()} - ELSEWHERE)
    assert "policy_examples.train" in modules
    run(f"{without_others}import importlib\nfor module in {modules}: importlib.import_module(module)", tmp_path)


def test_a_policy_learns_from_own_demonstrations_and_acts_with_the_recipes_alone(without_others, tmp_path):
    random = np.random.default_rng(0)
    demonstrations = Demonstrations(
        images=random.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
        agent_pos=random.normal(size=(20, 5)).astype(np.float32),
        actions=random.normal(size=(20, 3)).astype(np.float32),
        episode_ends=np.array([10, 20]),
    )
    save_demonstrations(demonstrations, tmp_path / "cup.zarr")
    options = ["--preset", "cpu", "--demos", "cup.zarr", "--output", "run", "--steps", "2", "--batch-size", "2"]
    options += ["--channels", "16", "32", "--inference-steps", "2"]
    run(
        f"{without_others}"
        "from xdistill_encoder import cli\n"
        f"sys.argv = {['xdistill', 'finetune', *options]}\n"
        "cli.main()\n"
        "import torch\n"
        "from pathlib import Path\n"
        "from policy_examples.policy import DiffusionPolicy\n"
        "policy, _ = DiffusionPolicy.load(Path('run/policy'))\n"
        "observation = {'image': torch.zeros(1, 2, 3, 32, 32, dtype=torch.uint8), 'agent_pos': torch.zeros(1, 2, 5)}\n"
        "assert policy.predict_action(observation).shape == (1, 6, 3)\n",
        tmp_path,
    )
