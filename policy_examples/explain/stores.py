"""Opens demonstrations, or says how they are made."""

from pathlib import Path

from policy_examples.formats.episodes import Selection
from policy_examples.store import Demonstrations, open_demonstrations


def open_store(path: Path, selection: Selection | None = None) -> Demonstrations:
    """As `open_demonstrations`; a missing store is an error that has the command which makes one."""
    if not path.exists():
        raise ValueError(
            f"demos: there is no {path}; make it with `xdistill demos --task TASK --output {path}`, or name "
            "demonstrations that exist with --demos."
        )
    return open_demonstrations(path, selection)


def require_all_arrays(demonstrations: Demonstrations, name: str, otherwise: str) -> None:
    """Raise a ValueError for demonstrations of which arrays were chosen: no simulator can play these again.

    Args:
        name: of the demonstrations, for people.
        otherwise: what to do instead, for people.
    """
    if chosen := demonstrations.origin.get("selection"):
        named = ", ".join(f"{array} {value!r}" for array, value in chosen.items())
        raise ValueError(f"demos: of {name} arrays were chosen ({named}), which cannot be played again; {otherwise}.")
