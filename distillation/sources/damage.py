"""The list of a run's images that cannot be read."""

import os
from pathlib import Path

from torch import Tensor

from distillation.sources.decoding import DamagedImage
from distillation.sources.images import Images

LISTS = "damaged-*.txt"
"""Of all processes of a run, which share its folder."""


class DamageLog:
    """Counts damaged images, lists them in a file, and stops a run that meets too many.

    An image counts once, however many processes meet it and however often the run is interrupted.

    Args:
        path: the file: a line per image, "<index> <where it lies> <reason>" with tabs between. One that exists is
            continued, without the images that can be read meanwhile (those of remote shards are not fetched to see).
            The lists of the other processes lie beside it.
        images: the collection.
        limit_share: largest share of the images, in [0, 1], that may be damaged.
    """

    def __init__(self, path: Path, images: Images, limit_share: float):
        self.path = path
        self.images = images
        self.limit_share = limit_share
        self.lines = _read(path, len(images))
        self._repaired: set[int] = set()  # listed by other processes, but found readable
        self._compared = False
        if images.shards is None:
            self._drop_repaired()

    def record(self, asked: Tensor, used: Tensor) -> None:
        """Take note of one batch of `Views`.

        Args:
            asked, used: (B,) int64, "asked" and "index" of the batch; they differ where a damaged image was replaced.

        Raises:
            ValueError: more images are damaged than the limit allows.
        """
        replaced = (asked != used).nonzero().flatten().tolist()
        if not replaced:
            return
        count = len(self.images)
        known = len(self.lines)
        for row in replaced:
            first, last = int(asked[row]), int(used[row])
            for index in range(first, first + (last - first) % count):
                self._add(index % count)
        if len(self.lines) > known:
            self._write()
        if len(self.lines) > known or not self._compared:
            self.require_few()

    def require_few(self) -> None:
        """Compare what all processes listed with the limit.

        Raises:
            ValueError: more images are damaged than the limit allows.
        """
        self._compared = True
        count, most = len(self.images), self.limit_share * len(self.images)
        if len(self._damaged()) > most:  # before it stops a run: what was repaired since no longer counts
            self._drop_repaired()
            self._repaired |= {index for index in self._damaged() - self.lines.keys() if self._reason(index) is None}
        damaged = len(self._damaged())
        if damaged > most:
            lists = sorted({self.path, *self.path.parent.glob(LISTS)})
            raise ValueError(
                f"images: {damaged:,} of {count:,} cannot be read ({damaged / count:.2%}), more than max_damaged = "
                f"{self.limit_share} allows; they are listed in {', '.join(map(str, lists))}: repair them and repeat "
                "the command, or raise max_damaged (a collection is known by a sample of its images: where one of "
                "these was damaged, the repaired collection needs another output folder)"
            )

    def _damaged(self) -> set[int]:
        """What is listed in the folder."""
        others = [path for path in self.path.parent.glob(LISTS) if path != self.path]
        listed = (index for path in others for index in _read(path, len(self.images)))
        return {*self.lines, *listed} - self._repaired

    def _add(self, index: int) -> None:
        if index not in self.lines and (reason := self._reason(index)) is not None:
            columns = (str(index), self.images.where(index), reason)
            self.lines[index] = "\t".join(" ".join(column.split()) for column in columns)

    def _drop_repaired(self) -> None:
        damaged = {index: line for index, line in self.lines.items() if self._reason(index) is not None}
        if len(damaged) == len(self.lines):
            return
        self.lines = damaged
        if damaged:
            self._write()
        else:
            self.path.unlink(missing_ok=True)

    def _reason(self, index: int) -> str | None:
        """Why an image cannot be read; None: it can."""
        try:
            self.images.read(index)
        except DamagedImage as error:
            return str(error)
        return None

    def _write(self) -> None:
        partial = self.path.with_name(f"{self.path.name}.partial")
        with partial.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(f"{line}\n" for line in self.lines.values())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)


def _read(path: Path, count: int) -> dict[int, str]:
    """{index: line} of a list of images below `count`; none where there is no file."""
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines() if path.exists() else []
    listed = {int(line.partition("\t")[0]): line for line in lines}
    return {index: line for index, line in listed.items() if index < count}
