"""Single frames of one camera in parquet files."""

from collections.abc import Sequence
from functools import cached_property

import datasets
import numpy as np
from torch import Tensor

from distillation.sources.decoding import DamagedImage, decode
from distillation.sources.fingerprint import fingerprint


class ParquetFrames:
    """A column of encoded images, in the order of the rows.

    Args:
        files: with the column `camera`, {bytes, path} of each image, and the column `frame_index`, which counts from 0
            in each episode.
        camera: name of the column.
        every: stride inside an episode.
        name: of the recording, for people.
    """

    shards: tuple[int, ...] | None = None

    def __init__(self, files: Sequence[str], camera: str, every: int, name: str):
        table = datasets.load_dataset("parquet", data_files=list(files), columns=[camera, "frame_index"], split="train")
        self.rows = np.flatnonzero(np.asarray(table.with_format("numpy")["frame_index"][:]) % every == 0)
        self.table = table.select_columns([camera]).cast_column(camera, datasets.Image(decode=False))
        self.camera = camera
        self.name = name

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """Of the number of frames with the bytes of some."""
        return fingerprint(len(self), self.encoded)

    def encoded(self, index: int) -> bytes:
        """The file of one frame, as it is stored; raises DamagedImage where there is none."""
        stored = self.table[int(self.rows[index])][self.camera]
        if stored is None or stored["bytes"] is None:
            raise DamagedImage("no bytes in the table")
        return stored["bytes"]

    def read(self, index: int) -> Tensor:
        """(3, H, W) uint8, RGB; raises DamagedImage."""
        return decode(self.encoded(index))

    def where(self, index: int) -> str:
        """The place of one frame, for people."""
        return f"{self.name} row {self.rows[index]}"
