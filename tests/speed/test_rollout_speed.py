"""Bounds on the speed of rollouts and demonstrations on a CPU, measured by rollout_speed.py in a few minutes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distillation.scoring.results_csv import read_rows

pytestmark = pytest.mark.speed
SCRIPT = Path(__file__).parent / "rollout_speed.py"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The bench's rows."""
    if torch.cuda.is_available():
        pytest.skip("the bounds are those of a CPU; on a GPU run rollout_speed.py, whose rows are absolute too")
    csv = tmp_path_factory.mktemp("speed") / "speed.csv"
    subprocess.run([sys.executable, str(SCRIPT), "--csv", str(csv)], check=True)
    return read_rows(csv)


def test_rollouts_are_at_least_four_times_as_fast_as_rendering_each_step_at_the_reference_setting(rows):
    assert max(float(row["ratio"]) for row in rows if row["what"].startswith("frames that are read, fast")) >= 4


def test_ten_demonstrations_take_less_than_a_minute(rows):
    (demonstrations,) = (row for row in rows if row["what"].startswith("xdistill demos"))
    assert float(demonstrations["ours"]) < 60
