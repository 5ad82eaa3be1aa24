"""Rows of docs/hosts/*.csv, written from the environment of a host."""

import csv
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch


def append_row(path: Path, row: dict[str, Any], host: str) -> None:
    """Add a row with versions, machine, command and commit to a CSV, with its header where it is not there yet.

    Args:
        host: the package that was measured, with its version.
    """
    row = row | {
        "versions": f"{host}, torch {torch.__version__}",
        "machine": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "command": shlex.join(["python", f"tests/speed/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "commit": _commit(),
    }
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(f"\n{row}", file=sys.stderr)


def _commit() -> str:
    """Of this checkout, "-dirty" where it has changes."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
