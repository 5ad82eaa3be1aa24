"""The teacher cache: embeddings of a fixed number of views of each image, computed once."""

import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from distillation.cache.facts import Facts
from distillation.cache.hub import download
from distillation.cache.maps import FirstShard, MappedColumn
from distillation.cache.shards import read_row
from distillation.views import View

FACTS_FILE = "targets.json"
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^@]+))?")


class TargetCache:
    """A folder with `targets.json`, the facts, and `view-VVV/shard-SSSSS.parquet`, the embeddings as float16.

    parquet has no bfloat16; float16 keeps three more bits of each number, in a range that embeddings do not leave.

    Args:
        folder: where it lies.
        facts: what it holds, all of them set; `create` and `open` write or read them.

    Raises:
        ValueError: facts that are None or below 1.
    """

    def __init__(self, folder: Path, facts: Facts):
        if not facts.views or facts.views < 1 or not facts.shard_rows or facts.shard_rows < 1:
            raise ValueError(
                f"views, shard_rows: expected 1 or more of a cache, got {facts.views}, {facts.shard_rows} ({folder})"
            )
        self.folder = folder
        self.facts = facts
        self.view_count = facts.views
        self.shard_rows = facts.shard_rows
        self._columns: dict[tuple[int, str], MappedColumn | FirstShard] = {}

    @classmethod
    def create(cls, folder: Path, facts: Facts) -> "TargetCache":
        """Begin a cache, or go on with the one in the folder.

        Args:
            facts: all of them set, `shard_rows` too.

        Raises:
            ValueError: the folder holds a cache of something else; the message names what differs.
        """
        cache = cls.plan(folder, facts)
        if not (folder / FACTS_FILE).exists():
            folder.mkdir(parents=True, exist_ok=True)
            cache._write_facts()
        return cache

    def add_launch(self, made: Mapping[str, Any]) -> None:
        """Note who computes what is missing, where it is not who began: the commit, the device.

        Commits with uncommitted changes come last, so that the entry ends with "-dirty" where any does.
        """
        with FileLock(self.folder / f".{FACTS_FILE}.lock"):  # others may begin at the same time
            self._join(made)

    def _join(self, made: Mapping[str, Any]) -> None:
        before = _read_facts(self.folder).made
        commits = [*str(before.get("commit") or "unknown").split(", "), str(made.get("commit") or "unknown")]
        devices = [*str(before.get("device") or "unknown").split("; "), str(made.get("device") or "unknown")]
        joined = {
            "commit": ", ".join(sorted(dict.fromkeys(commits), key=lambda commit: commit.endswith("-dirty"))),
            "device": "; ".join(dict.fromkeys(devices)),
        }
        changed = {name: text for name, text in joined.items() if text not in (before.get(name), "unknown")}
        if changed:
            self.facts = replace(self.facts, made={**before, **changed})
            self._write_facts()

    def _write_facts(self) -> None:
        partial = self.folder / f".{FACTS_FILE}.{socket.gethostname()}-{os.getpid()}.partial"
        partial.write_text(json.dumps(self.facts.to_json(), indent=2) + "\n")
        partial.replace(self.folder / FACTS_FILE)

    @classmethod
    def plan(cls, folder: Path, facts: Facts) -> "TargetCache":
        """As `create`, without writing anything."""
        planned = cls(folder, facts)
        if not (folder / FACTS_FILE).exists():
            return planned
        cache = cls(folder, _read_facts(folder))
        cache.require(facts)
        if cache.facts.patch_grid is not None and facts.patch_grid is None:
            raise ValueError(
                f"targets: {folder} holds patch tokens; repeat --patch-grid {cache.facts.patch_grid}, or give another "
                "folder"
            )
        return cache

    @classmethod
    def open(cls, source: str | Path) -> "TargetCache":
        """A cache in a folder, or one that was published, "org/name" or "org/name@revision", once it is downloaded.

        Raises:
            ValueError: there is none; the Hub has none, gives no access or cannot be reached.
        """
        folder = Path(source).expanduser()
        match = HUB_ID.fullmatch(str(source))
        here = folder.parent.is_dir() and folder.parent != Path()  # a folder misspelt, as in "runs/target"
        if not folder.exists() and isinstance(source, str) and match and not here:
            folder = download(match["repo"], match["revision"])
        if not folder.is_dir():
            raise ValueError(
                f"targets: no folder {source}; give one that `xdistill targets` wrote, or 'org/name' of a published one"
            )
        return cls(folder, _read_facts(folder))

    def require(self, wanted: Facts) -> None:
        """Refuse to serve a run that asks for something else.

        Raises:
            ValueError: names what differs, as it was in the cache and is in the run.
        """
        if differing := self.facts.differences(wanted):
            raise ValueError(
                f"targets: {self.folder} is of something else ({'; '.join(differing)}); repeat its settings, or give "
                "another folder"
            )

    def require_whole(self) -> None:
        """Refuse to go on with a cache that is not finished.

        Raises:
            ValueError: says how many shards are missing, and the command that computes them.
        """
        if missing := self.missing():
            raise ValueError(
                f"targets: {len(missing)} of {len(self.shards())} shards are missing in {self.folder}; the command "
                f"that began it computes them: {self.facts.made.get('command')}"
            )

    def shards(self) -> list[tuple[int, int]]:
        """(view, shard) of all that belong to the cache, whether or not they exist; all views of the same images one
        after the other, so that images are fetched, and read from a disk, once for all of their views."""
        a_view = -(-self.facts.images_count // self.shard_rows)
        return [(view, shard) for shard in range(a_view) for view in range(self.view_count)]

    def share(self, part: int, parts: int) -> list[tuple[int, int]]:
        """What one of several processes computes of `shards`: neighbours, so that each fetches other images."""
        shards = self.shards()
        return shards[part * len(shards) // parts : (part + 1) * len(shards) // parts]

    def missing(self) -> list[tuple[int, int]]:
        """(view, shard) of those that do not exist."""
        return [shard for shard in self.shards() if not self.file(*shard).exists()]

    def file(self, view: int, shard: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"view-{view:03}" / f"shard-{shard:05}.parquet"

    def rows(self, shard: int) -> range:
        """The images of a shard."""
        first = shard * self.shard_rows
        return range(first, min(first + self.shard_rows, self.facts.images_count))

    def map(self) -> None:
        """Make all that `read` needs, once for all runs; `read` does it too, one view after another.

        Raises:
            ValueError: shards are missing or damaged.
            OSError: no room for the memory maps.
        """
        for view in range(self.view_count):
            for name in self._names:
                self._column(view, name)

    def sample(self) -> None:
        """Let `read` answer for view 0 with rows of its first shard, kept in memory, whatever image is asked for.

        They are read as fast as the right ones, and nothing is written: for measurements.

        Raises:
            ValueError: shards are missing, or the first is damaged.
        """
        self.require_whole()
        for name in self._names:
            self._columns[0, name] = FirstShard(self.file(0, 0), name)

    def read(self, view: int, indices: Tensor | np.ndarray | Sequence[int]) -> Tensor:
        """(B,) images -> (B, D) float32 embeddings of one view, all teachers side by side.

        Raises:
            ValueError: no such view; shards are missing; one of the images is damaged.
        """
        return self._read(view, "embedding", indices)

    def read_patches(self, view: int, indices: Tensor | np.ndarray | Sequence[int]) -> Tensor:
        """(B,) images -> (B, P, g, g) float32, the first teacher's patch tokens pooled to a grid.

        Raises:
            ValueError: as `read`; the cache holds no patch tokens.
        """
        if self.facts.patch_shape is None:
            raise ValueError(
                f"targets: {self.folder} holds no patch tokens; build it with --patch-grid, or leave out the patch loss"
            )
        return self._read(view, "patches", indices).unflatten(1, self.facts.patch_shape)

    def stored(self, view: int, index: int) -> tuple[View | None, Tensor]:
        """The view of an image, None where it is damaged, and its (D,) float32 embedding, as a shard holds them."""
        drawn, embedding = read_row(self.file(view, index // self.shard_rows), index % self.shard_rows)
        return drawn, torch.from_numpy(embedding.astype(np.float32))

    @property
    def _names(self) -> tuple[str, ...]:
        """Columns that are mapped."""
        return ("embedding", "patches") if self.facts.patch_grid else ("embedding",)

    def _read(self, view: int, name: str, indices: Tensor | np.ndarray | Sequence[int]) -> Tensor:
        rows = np.asarray(indices)
        numbers = self._column(view, name).read(rows)
        damaged = np.isnan(numbers[:, 0])
        if damaged.any():
            raise ValueError(
                f"targets: image {rows[damaged][0]} could not be read when {self.folder} was built, so there is no "
                f"embedding of it; the command that began the cache computes it again: {self.facts.made.get('command')}"
            )
        return torch.from_numpy(numbers.astype(np.float32))  # on one core: so few numbers are not worth waking others

    def _column(self, view: int, name: str) -> MappedColumn | FirstShard:
        if (view, name) not in self._columns:
            self.require_whole()
            if not 0 <= view < self.view_count:
                raise ValueError(f"view: expected 0 to {self.view_count - 1}, got {view}")
            shards = [self.file(*shard) for shard in self.shards() if shard[0] == view]
            shape = self.facts.patch_shape
            width = self.facts.width if name == "embedding" or shape is None else shape[0] * shape[1] * shape[2]
            self._columns[view, name] = MappedColumn(shards, name, self.facts.images_count, width, self.folder)
        return self._columns[view, name]


def _read_facts(folder: Path) -> Facts:
    path = folder / FACTS_FILE
    if not path.is_file():
        raise ValueError(f"targets: no {FACTS_FILE} in {folder}; give the folder that `xdistill targets` wrote")
    try:
        return Facts.from_json(json.loads(path.read_text()))
    except ValueError as error:
        raise ValueError(f"targets: {path}: {error}") from error
