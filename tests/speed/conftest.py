"""Writes what a run of the speed tests measured to results.csv."""

import csv
import os
import platform
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
import torch

from xdistill_encoder.provenance import commit

RESULTS = Path(__file__).parent / "results.csv"


@pytest.fixture(scope="session")
def record() -> Iterator[Callable[..., None]]:
    """record(name, value, unit, bound): prints a measurement; all of them replace results.csv at the end."""
    machine = f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, {platform.machine()}"
    common = {
        "torch": torch.__version__,
        "machine": machine,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": "make bench",
        "commit": commit(Path(__file__)),
    }
    rows: list[dict[str, object]] = []

    def add(name: str, value: float, unit: str, bound: float) -> None:
        print(f"\n{name}: {value:.4g} {unit}, at most {bound}")
        rows.append({"measurement": name, "value": f"{value:.4g}", "unit": unit, "at_most": bound, **common})

    yield add
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
