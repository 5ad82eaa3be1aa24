"""Where weights come from: command, commit, versions."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from xdistill_encoder.provenance import command, commit

LIBRARIES = (
    "xdistill-encoder",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "accelerate",
    "datasets",
    "pillow",
)
"""What decodes images, embeds them, or trains."""


def describe_run() -> dict[str, object]:
    """Command of this process, commit of this folder (None outside its checkout), versions of LIBRARIES, date."""
    return {
        "command": command(),
        "commit": commit(Path(__file__)),
        "versions": versions(LIBRARIES),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Distributions -> their versions, without those that are not installed."""
    found = {}
    for name in libraries:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
