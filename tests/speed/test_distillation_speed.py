"""Bounds on the distillation recipe's speed on a CPU, measured by distillation_speed.py in about ten minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distillation.scoring.results_csv import read_rows

pytestmark = pytest.mark.speed
SCRIPT = Path(__file__).parent / "distillation_speed.py"
SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The bench's rows, with the real images and the real teacher."""
    if torch.cuda.is_available():
        pytest.skip("the bounds are those of a CPU; on a GPU run distillation_speed.py, whose rows are absolute too")
    images, (teacher, *_) = SHARED / "data" / "distill", [*(SHARED / "teachers").glob("vit_tiny*"), SHARED]
    if not images.is_dir() or teacher == SHARED:
        pytest.skip(f"the real images and the teacher are not there: {SHARED}")
    csv = tmp_path_factory.mktemp("speed") / "speed.csv"
    inputs = ["--images", str(images), "--teacher", str(teacher), "--csv", str(csv)]
    subprocess.run([sys.executable, str(SCRIPT), *inputs], check=True)
    return read_rows(csv)


def find(rows: list[dict[str, str]], what: str) -> dict[str, str]:
    (found,) = (row for row in rows if row["what"].startswith(what))
    return found


@pytest.mark.skipif("LIGHTLY_PYTHON" not in os.environ, reason="LIGHTLY_PYTHON names no Python that has lightly-train")
def test_online_distillation_is_at_least_1_15_times_as_fast_as_lightly_trains(rows):
    assert float(find(rows, "online, ViT-Ti/16 / LightlyTrain")["ratio"]) >= 1.15


@pytest.mark.parametrize(
    ("what", "at_least"),
    [
        ("from cache / bare ResNet-18 training step", 0.9),
        ("cache build, ViT-Ti/16 / bare teacher forward", 0.9),
    ],
)
def test_a_rate_is_at_least_so_many_times_another(rows, what, at_least):
    assert float(find(rows, what)["ratio"]) >= at_least


@pytest.mark.parametrize("teacher", ["ViT-Ti/16", "ViT-S/14", "ViT-L/14"])
def test_online_and_from_cache_a_run_is_at_least_nine_tenths_as_fast_as_the_bare_loops(rows, teacher):
    """Their ratio, which a cache gains, is that of the bare loops then: no recipe can gain more."""
    ours = find(rows, f"from cache / online, {teacher}")
    bare = find(rows, f"bare loops, student / {teacher} then student")
    assert float(ours["peer"]) >= 0.9 * float(bare["peer"])
    assert float(ours["ours"]) >= 0.9 * float(bare["ours"])


@pytest.mark.parametrize("targets", ["online", "from cache"])
def test_the_first_of_100_000_images_is_learned_from_within_15_s(rows, targets):
    assert float(find(rows, f"start to first step, 100,000 images, {targets}")["ours"]) < 15


def test_resident_memory_grows_by_less_than_2_percent_from_the_second_epoch_to_the_last(rows):
    assert float(find(rows, "resident memory")["ratio"]) < 1.02
