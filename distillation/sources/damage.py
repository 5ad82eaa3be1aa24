"""The list of a run's images that cannot be read."""

import os
from pathlib import Path

from torch import Tensor

from distillation.sources.decoding import DamagedImage
from distillation.sources.images import Images


class DamageLog:
    """Counts damaged images, lists them in a file, and stops a run that meets too many.

    Args:
        path: the file: a line an image, "<index> <where it lies> <reason>" with tabs between. One that exists is
            continued, so that images count once over interruptions.
        images: the collection.
        limit_share: largest share of the images, in [0, 1], that may be damaged. Where several processes share the
            images, each has a list of its own, and meets all of the damage only over some epochs.
    """

    def __init__(self, path: Path, images: Images, limit_share: float):
        self.path = path
        self.images = images
        self.limit_share = limit_share
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.lines = {int(line.partition("\t")[0]): line for line in lines}

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
        if len(self.lines) > self.limit_share * count:
            raise ValueError(
                f"images: {len(self.lines):,} of {count:,} cannot be read ({len(self.lines) / count:.2%}), more than "
                f"max_damaged = {self.limit_share} allows; {self.path} lists them: repair or remove them, or raise "
                "max_damaged"
            )

    def _add(self, index: int) -> None:
        if index in self.lines:
            return
        try:
            self.images.read(index)
        except DamagedImage as error:
            columns = (str(index), self.images.where(index), str(error))
            self.lines[index] = "\t".join(" ".join(column.split()) for column in columns)

    def _write(self) -> None:
        partial = self.path.with_name(f"{self.path.name}.partial")
        with partial.open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(f"{line}\n" for line in self.lines.values())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)
