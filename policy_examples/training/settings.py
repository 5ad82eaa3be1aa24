"""Notes what a run was asked for, on which versions."""

import json
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from policy_examples.whole_files import write_text
from xdistill_encoder.provenance import command, commit


def write_settings(path: Path, config: dict[str, Any]) -> None:
    """Write the configuration with the command, the commit and every installed package's version."""
    facts: dict[str, Any] = {"config": config, "command": command(), "commit": commit(Path(__file__))}
    packages = {package.name: package.version for package in distributions() if package.name}  # broken ones have none
    facts["packages"] = dict(sorted(packages.items()))
    write_text(path, json.dumps(facts, indent=2, default=str) + "\n")
