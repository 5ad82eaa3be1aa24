"""The files of a run's folder that say what it was and how long it took."""

import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import distributions
from pathlib import Path

from policy_examples.benchmarking.runs import EncoderChoice, Run
from policy_examples.whole_files import write_text
from xdistill_encoder.provenance import commit


def write_run(run: Run, folder: Path) -> None:
    """Note what the run will be; a run that lies there stays as it is.

    Raises:
        ValueError: it is another one.
    """
    if not (folder / "run.json").exists():
        describe_run(run, folder, commit(Path(__file__)))
    elif (found := read_run(folder)) != run:
        raise ValueError(f"output: expected {folder} to be free for {run}, got {found}; name another folder.")


def describe_run(run: Run, folder: Path, source: str | None) -> None:
    """Note what the run is, on what it runs, with code of which commit: run.json, written anew."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "run": asdict(run),
        "command": run.command(),
        "commit": source,
        "machine": describe_machine(),
        "python": platform.python_version(),
        "packages": dict(sorted((found.name, found.version) for found in distributions() if found.name)),
    }
    write_text(folder / "run.json", json.dumps(described, indent=2, default=str) + "\n")


def read_run(folder: Path) -> Run:
    """The run that run.json describes."""
    fields = json.loads((folder / "run.json").read_text())["run"]
    return Run(**{**fields, "encoder": EncoderChoice(**fields["encoder"])})


def first_commit(folder: Path) -> str | None:
    """Of the code that began the run."""
    return json.loads((folder / "run.json").read_text())["commit"]


def describe_machine() -> str:
    """The GPU's name, or the number of cores with what they compute at best."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    matrix_unit = " with AMX" if torch.cpu._is_amx_tile_supported() else ""
    return f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}{matrix_unit}, {platform.machine()}"


def add_minutes(folder: Path, minutes: float) -> None:
    """Add a session to the time that the run took; a session that was killed is not in it."""
    write_text(folder / "minutes.json", json.dumps(spent_minutes(folder) + minutes))


def spent_minutes(folder: Path) -> float:
    """All sessions so far."""
    path = folder / "minutes.json"
    return json.loads(path.read_text()) if path.exists() else 0.0
