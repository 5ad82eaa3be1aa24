"""Who made a run: the launches from its first step to its last."""

import time
from collections.abc import Mapping
from typing import Any

LISTED = ("command", "commit", "device", "processes", "versions")  # of a launch, beside its date


class History:
    """A part of a run that its checkpoint holds; a launch that ended before it saved is not in it.

    Args:
        launch: `describe_run()`, "device" and "processes" of this launch.
        origin: the provenance entry `started_from` of a run that started from a checkpoint; else empty.
    """

    def __init__(self, launch: Mapping[str, Any], origin: Mapping[str, Any]):
        self.launches = [dict(launch)]
        self.origin = dict(origin)
        self.processes: int = launch["processes"]
        self._before = {"seconds": 0.0, "device_seconds": 0.0}  # of the launches before this one
        self._began = time.monotonic()

    def begin(self) -> None:
        """From here on the time of this launch counts."""
        self._began = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """All launches so far and the time that they took."""
        seconds = time.monotonic() - self._began
        return {
            "launches": self.launches,
            "origin": self.origin,
            "seconds": self._before["seconds"] + seconds,
            "device_seconds": self._before["device_seconds"] + seconds * self.processes,
        }

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Put the launches before this one in front of it; launches that differ in their date alone are one."""
        this = self.launches[-1]
        others = [one for one in state_dict["launches"] if any(one[key] != this[key] for key in LISTED)]
        self.launches = [*others, this]
        self.origin = state_dict["origin"]
        self._before = {key: state_dict[key] for key in self._before}

    def provenance(self) -> dict[str, Any]:
        """Entries of a checkpoint's provenance; where launches differ, all of what they were.

        `hours` passed on the clock, `device_hours` on all devices together. Commits with uncommitted changes come last,
        so that the entry ends with "-dirty" where any does.
        """
        state = self.state_dict()
        commits = sorted(self._all("commit"), key=lambda commit: str(commit).endswith("-dirty"))
        names = self.launches[-1]["versions"]
        versions = {name: list(dict.fromkeys(one["versions"].get(name) for one in self.launches)) for name in names}
        return {
            "command": _joined(self._all("command"), "\n"),
            "commit": _joined(commits, ", "),
            "versions": {name: _joined(found, ", ") for name, found in versions.items()},
            "date": self.launches[-1]["date"],
            "hours": round(state["seconds"] / 3600, 5),
            "device_hours": round(state["device_seconds"] / 3600, 5),
            "processes": _joined(self._all("processes"), ", "),
            "device": _joined(self._all("device"), "; "),
            **self.origin,
        }

    def _all(self, key: str) -> list[Any]:
        """What the launches were, each once, in the order of their first."""
        return list(dict.fromkeys(launch[key] for launch in self.launches))


def _joined(values: list[Any], separator: str) -> Any:
    """One value as it is, several as one text; a commit that is not known is "unknown" beside others."""
    if len(values) == 1:
        return values[0]
    return separator.join("unknown" if value is None else str(value) for value in values)
