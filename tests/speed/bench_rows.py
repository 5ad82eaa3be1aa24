"""Rows of a speed.csv: one comparison each, with the machine, the command, the commit."""

import os
import platform
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from distillation.scoring.results_csv import append_row
from xdistill_encoder.provenance import commit


@dataclass(frozen=True)
class Row:
    """One comparison; without a peer, a number by itself."""

    what: str
    peer: float | None
    ours: float


def append(csv: Path, script: str, rows: Iterator[Row], settings: str = "") -> None:
    """Print rows and add them to a CSV as they come.

    Args:
        script: the file's name, from which the command is told.
        settings: ends what is compared.
    """
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    for row in rows:
        cells = {
            "what": f"{row.what}{settings}",
            "peer": None if row.peer is None else f"{row.peer:.4g}",
            "ours": f"{row.ours:.4g}",
            "ratio": None if row.peer is None else f"{row.ours / row.peer:.3f}",
            "machine": f"{os.cpu_count()} cores, {where}, {platform.machine()}, torch {torch.__version__}",
            "command": f"python tests/speed/{script} {shlex.join(sys.argv[1:])}".rstrip(),
            "commit": commit(Path(__file__)),
        }
        print(", ".join(f"{name} {cells[name]}" for name in ("what", "peer", "ours", "ratio")), flush=True)
        append_row(csv, cells)
