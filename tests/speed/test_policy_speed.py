"""A bound on the speed of policy training on a CPU, measured by policy_speed.py in about three minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distillation.scoring.results_csv import read_rows

pytestmark = pytest.mark.speed
SCRIPT = Path(__file__).parent / "policy_speed.py"


@pytest.mark.skipif("LEROBOT_PYTHON" not in os.environ, reason="LEROBOT_PYTHON names no Python that has lerobot")
def test_a_training_step_is_at_least_as_fast_as_lerobots(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("the bound is that of a CPU; on a GPU run policy_speed.py, whose rows are absolute too")
    subprocess.run([sys.executable, str(SCRIPT), "--parts", "step", "--csv", f"{tmp_path}/speed.csv"], check=True)
    ratios = {row["what"]: float(row["ratio"]) for row in read_rows(tmp_path / "speed.csv")}
    assert len(ratios) == 2
    assert min(ratios.values()) >= 1, ratios
