"""Many strings in one buffer."""

import os
from array import array
from collections.abc import Iterable


class Names:
    """A list of paths that only grows; a million of them are two objects, which worker processes share unchanged."""

    def __init__(self, names: Iterable[str] = ()):
        self.buffer = bytearray()
        self.ends = array("q")
        for name in names:
            self.append(name)

    def append(self, name: str) -> None:
        """Add one at the end."""
        self.buffer += os.fsencode(name)
        self.ends.append(len(self.buffer))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        start = self.ends[index - 1] if index else 0
        return os.fsdecode(bytes(self.buffer[start : self.ends[index]]))
