"""Images as members of tar files."""

import os
import tarfile
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property

from torch import Tensor
from tqdm import tqdm

from distillation.sources.decoding import decode
from distillation.sources.fingerprint import fingerprint
from distillation.sources.folders import is_image_name as is_image_member
from distillation.sources.names import Names

OPEN_FILES = 64  # a process keeps so many tar files open; the usual limit of the system is 1,024


class TarImages:
    """Image members of uncompressed tar files, in the order in which they lie there.

    The headers of all members are read once, at the start; after that any image is one read at a known place. May be
    sent to forked or spawned processes; in a process, one thread at a time reads.

    Args:
        paths: the tar files; their images follow each other in this order.

    Raises:
        ValueError: compressed, truncated, not a tar file, no image inside.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, paths: Sequence[str]):
        self.paths = [os.path.abspath(path) for path in paths]
        self.names = Names()
        self.tar_numbers, self.offsets, self.sizes = array("i"), array("q"), array("q")
        self.handles: dict[int, int] = {}  # number of a tar file -> descriptor, the longest open first
        with tqdm(desc="indexing", unit="img", unit_scale=True, leave=False, delay=2) as bar:
            for number, path in enumerate(self.paths):
                before = len(self.names)
                for member in _members(path):
                    if member.isreg() and is_image_member(member.name):
                        self.names.append(member.name)
                        self.tar_numbers.append(number)
                        self.offsets.append(member.offset_data)
                        self.sizes.append(member.size)
                        bar.update()
                if len(self.names) == before:
                    raise ValueError(f"images: no image among the members of {path}")

    def __len__(self) -> int:
        return len(self.names)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"handles": {}}

    def __del__(self):
        for handle in self.handles.values():
            os.close(handle)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the number of images with the bytes of some."""
        return fingerprint(len(self), self.encoded)

    def encoded(self, index: int) -> bytes:
        """The bytes of one member."""
        handle = self._handle(self.tar_numbers[index])
        return os.pread(handle, self.sizes[index], self.offsets[index])

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        return decode(self.encoded(index))

    def where(self, index: int) -> str:
        """The tar file and the name of one member."""
        return f"{self.paths[self.tar_numbers[index]]} member {self.names[index]}"

    def _handle(self, number: int) -> int:
        if number not in self.handles:
            if len(self.handles) == OPEN_FILES:
                os.close(self.handles.pop(next(iter(self.handles))))
            self.handles[number] = os.open(self.paths[number], os.O_RDONLY)
        return self.handles[number]


def _members(path: str) -> Iterator[tarfile.TarInfo]:
    """Headers of a tar file in their order.

    Raises:
        ValueError: not an uncompressed tar file; cut off, or damaged between two members.
    """
    try:
        with tarfile.open(path, "r:") as archive, open(path, "rb") as file:
            while (member := archive.next()) is not None:
                yield member
                archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]  (a million would be kept)
            file.seek(archive.offset)
            end = file.read(tarfile.BLOCKSIZE)
    except tarfile.TarError as error:
        raise ValueError(
            f"images: {path} is no whole, uncompressed tar file ({error}); unpack it, or fetch it again"
        ) from error
    if end.strip(b"\0"):
        raise ValueError(f"images: {path} is damaged at byte {archive.offset}, where a member should begin")
