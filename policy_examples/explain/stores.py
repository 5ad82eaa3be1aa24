"""Opens demonstrations, or says how they are made."""

from pathlib import Path

from policy_examples.formats.episodes import Selection
from policy_examples.store import Demonstrations, open_demonstrations


def open_store(path: Path, selection: Selection | None = None) -> Demonstrations:
    """As `open_demonstrations`; a missing store is an error that has the command which makes one."""
    if not path.exists():
        raise ValueError(
            f"demos: there is no {path}; make it with `xdistill demos --task drawer-open --output {path}`, any task of "
            "MetaWorld, or name demonstrations that exist."
        )
    return open_demonstrations(path, selection)
