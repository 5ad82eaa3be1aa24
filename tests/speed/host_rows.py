"""Rows of docs/hosts/*.csv, written from the environment of a host."""

import csv
import shlex
import sys
from pathlib import Path
from typing import Any

import torch

from xdistill_encoder.provenance import commit


def append_row(path: Path, row: dict[str, Any], host: str) -> None:
    """Add a row with versions, machine, command and commit to a CSV, with its header where it is not there yet.

    Args:
        host: the package that was measured, with its version.
    """
    row = row | {
        "versions": f"{host}, torch {torch.__version__}",
        "machine": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
        "command": shlex.join(["python", f"tests/speed/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "commit": commit(Path(__file__)),
    }
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(f"\n{row}", file=sys.stderr)
