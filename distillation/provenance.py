"""Where weights come from: command, commit, versions."""

import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path


def describe_run() -> dict[str, object]:
    """The command of this process, the commit of this folder (None outside a git checkout), library versions, date."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": commit(),
        "versions": {name: version(name) for name in ("torch", "torchvision", "timm")},
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def commit() -> str | None:
    """Commit of the checkout that holds this file, with "-dirty" where tracked files differ; None outside one."""
    git = ["git", "-C", str(Path(__file__).parent)]
    described = subprocess.run([*git, "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True)
    return described.stdout.strip() or None if described.returncode == 0 else None
