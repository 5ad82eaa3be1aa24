import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from distillation.scoring.results_csv import read_rows
from xdistill_encoder import XDistillResNet18

ROOT = Path(__file__).parents[2]
NAME = "resnet18-bn-vit_random-24"


def xdistill(folder: Path, *arguments: str | Path) -> str:
    """What a command prints that is started in a folder and ends well."""
    command = [sys.executable, "-m", "xdistill_encoder", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_chain_of_the_manual_ends_in_a_folder_that_loads(tmp_path, parquet, bank, teacher_spec):
    teacher = ("--teacher", teacher_spec, "--teacher-image-size", "None")
    inputs = (*teacher, "--images", parquet, "--batch-size", "8", "--workers", "0", "--mixed-precision", "no")
    for name in ("terms", "limits"):
        (tmp_path / f"{name}.md").write_text(f"These are the {name}.\n")
    xdistill(tmp_path, "targets", *inputs, "--views-per-image", "2", "--output", "runs/targets")

    run = f"runs/{NAME}"
    xdistill(
        *(tmp_path, "distill", *inputs, "--targets", "runs/targets", "--name", NAME, "--output", run),
        *("--image-size", "32", "--epochs", "2"),
    )
    xdistill(
        *(tmp_path, "scorecard", "--encoder", f"{run}/encoder", "--teacher", teacher_spec, "--workers", "0"),
        *("--bank", bank, "--queries", parquet, "--output", f"{run}/queries.json"),
        *("--plot", f"{run}/queries.png", "--csv", "scorecard.csv"),
    )
    xdistill(
        *(tmp_path, "publish", "--checkpoint", run, "--repo", f"org/{NAME}", "--scores", f"{run}/queries.json"),
        *("--plots", f"{run}/curve.png", f"{run}/queries.png", "--license", "other"),
        *("--license-terms", "terms.md", "--limits", "limits.md", "--dry-run", "--output", f"{run}/hub"),
        "--allow-dirty",  # a checkout that somebody works on
    )

    hub = tmp_path / run / "hub"
    assert {path.name for path in hub.rglob("*") if path.is_file()} == {
        *("README.md", "config.json", "model.safetensors"),
        *("curve.png", "queries.png"),
    }
    encoder = XDistillResNet18.from_pretrained(hub)
    assert encoder(torch.zeros(1, 3, 32, 32)).isfinite().all()
    assert encoder.checkpoint
    provenance = encoder.checkpoint.provenance
    assert provenance["targets"].startswith("cached")
    scores = json.loads((tmp_path / run / "queries.json").read_text())
    assert provenance["scores"][0]["knn10_percent"] == scores["knn10_percent"]
    assert scores["teacher"] == "vit_random"
    assert [row["encoder"] for row in read_rows(tmp_path / "scorecard.csv")] == [NAME]
    card = (hub / "README.md").read_text()
    for words in (f'from_pretrained("org/{NAME}"', "These are the terms.", "These are the limits."):
        assert words in card
