"""Time the commands that explain policies, on policies of the CPU preset that hardly learned.

    python tests/speed/explain_speed.py

prints minutes, then appends them to policy_examples/results/explain_speed.csv. Each command is a process of its own, so
that its imports count; what they explain is made before: ten demonstrations, two runs of a few steps.
"""

import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import tyro

from distillation.scoring.results_csv import append_row
from xdistill_encoder.provenance import commit

ROOT = Path(__file__).resolve().parents[2]
CSV = ROOT / "policy_examples" / "results" / "explain_speed.csv"
SCRIPT = "explain_speed.py"
Part = Literal["saliency", "embedding", "features", "report"]
ENCODERS = ("xdistill", "resnet18-scratch")


@dataclass(frozen=True)
class Bench:
    """What is timed, on what."""

    parts: tuple[Part, ...] = get_args(Part)
    """Which commands; the report shows the saliency and the embedding that were timed before it."""
    task: str = "drawer-open"
    """Of MetaWorld."""
    image_size_px: int = 96
    """Height and width of a frame."""
    episodes: int = 10
    """Demonstrations."""
    steps: int = 5
    """Of each run: enough for files, not for a policy that solves anything, whose episodes are the longest."""
    csv: Path = CSV
    """File that rows are appended to."""


def xdistill(folder: Path, *arguments: object) -> float:
    """Run a command of `xdistill` in a folder; returns seconds.

    Raises:
        RuntimeError: it failed; the message holds the end of what it printed.
    """
    started = time.perf_counter()
    command = [sys.executable, "-m", "xdistill_encoder", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - started


def make_runs(bench: Bench, folder: Path) -> None:
    """Demonstrations, and a run of each encoder in runs/."""
    size = ("--episodes", bench.episodes, "--image-size-px", bench.image_size_px, "--render", "fast")
    xdistill(folder, "demos", "--task", bench.task, *size, "--output", "demos.zarr")
    for encoder in ENCODERS:
        named = ("--demos", "demos.zarr", "--encoder", encoder, "--output", f"runs/{encoder}")
        xdistill(folder, "finetune", "--preset", "cpu", *named, "--steps", bench.steps)


def commands() -> dict[Part, tuple[str, ...]]:
    """What is timed, in its order; the defaults of each command."""
    runs = tuple(f"runs/{encoder}" for encoder in ENCODERS)
    found: dict[Part, tuple[str, ...]] = {
        "saliency": ("explain", "saliency", "--policies", *runs, "--output", f"{runs[0]}/saliency"),
        "embedding": ("explain", "embedding", "--policies", runs[0], "--output", f"{runs[0]}/embedding"),
        "features": ("explain", "features", "--images", "zarr:demos.zarr#img", "--output", "features"),
        "report": ("report", *runs),
    }
    return found


def main() -> None:
    """Read the command line; time command after command."""
    bench = tyro.cli(Bench, description=(__doc__ or "").partition("\n")[0])
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    scene = f"{bench.task}, {bench.episodes} demonstrations, {bench.image_size_px} px"
    with tempfile.TemporaryDirectory(prefix="explain-speed-") as temporary:
        folder = Path(temporary)
        make_runs(bench, folder)
        for part, arguments in commands().items():
            if part not in bench.parts:
                continue
            minutes = xdistill(folder, *arguments) / 60
            row = {
                "what": f"xdistill {shlex.join(arguments)}; {scene}",
                "minutes": f"{minutes:.2f}",
                "machine": f"{os.cpu_count()} cores, {where}, {platform.machine()}, torch {torch.__version__}",
                "command": f"python tests/speed/{SCRIPT} {shlex.join(sys.argv[1:])}".rstrip(),
                "commit": commit(Path(__file__)),
            }
            print(f"{row['what']}: {row['minutes']} minutes", flush=True)
            append_row(bench.csv, row)


if __name__ == "__main__":
    main()
