"""Frames of demonstrations of one task, or of several one after the other, with the stage that each shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from policy_examples.explain.expert_stages import expert_stages
from policy_examples.explain.stages import equal_parts
from policy_examples.explain.stores import open_store
from policy_examples.formats.episodes import Selection
from policy_examples.store import Demonstrations
from policy_examples.windows import observed_array

StagesFrom = Literal["expert", "time"]


@dataclass(frozen=True)
class Stage:
    """One stage of a task."""

    task: str
    number: int
    """From 1 up."""
    of: int
    """How many the task has."""
    meaning: str


@dataclass(frozen=True)
class StagedFrames:
    """F frames out of demonstrations.

    Attributes:
        stores: the demonstrations, one task each.
        rows: of each store, which frames.
        labels: (F,) int64, the stage that each frame shows, a place in `stages`.
        episodes: (F,) int64; the i-th demonstrations of all tasks are one long episode.
        stages: of all tasks, one after the other.
        facts: of each store, as JSON.
    """

    stores: tuple[Demonstrations, ...]
    rows: tuple[np.ndarray, ...]
    labels: np.ndarray
    episodes: np.ndarray
    stages: tuple[Stage, ...]
    facts: tuple[dict[str, Any], ...]

    def images(self, camera: str = "image") -> Tensor:
        """(F, 3, H, W) uint8, RGB; raises ValueError for a camera that a store lacks, or frames of several sizes."""
        taken = [observed_array(store, camera)[rows] for store, rows in zip(self.stores, self.rows, strict=True)]
        sizes = sorted({images.shape[1:3] for images in taken})
        if len(sizes) > 1:
            raise ValueError(f"demos: expected frames of one size, got {sizes}; collect them with one --image-size-px.")
        return torch.from_numpy(np.concatenate(taken)).movedim(-1, 1)


def open_staged(
    sources: Sequence[tuple[Path, Selection]], stages_from: StagesFrom, parts: int, frames_per_episode: int
) -> StagedFrames:
    """Read demonstrations, find their stages, take frames at equal distances in time.

    Several stores are one long task: its stages are those of the first task, then those of the second, and so on; it
    has as many episodes as the smallest store.

    Args:
        sources: places of demonstrations, and what to take of them.
        stages_from: "expert", the branches of MetaWorld's scripted experts, up to the first solved step; "time",
            `parts` of equal duration.
        frames_per_episode: of each task.

    Raises:
        ValueError: a store that is missing or damaged, or whose stages cannot be told.
    """
    if not sources:
        raise ValueError("demos: expected one store of demonstrations or more, got none.")
    stores, paths = [open_store(path, selection) for path, selection in sources], [path for path, _ in sources]
    count = min(len(store.episode_ends) for store in stores)
    names = [str(store.origin.get("task", path.stem)) for store, path in zip(stores, paths, strict=True)]
    if len(set(names)) < len(names):
        raise ValueError(f"demos: expected a task once, got {', '.join(names)}.")
    rows, labels, episodes, facts = [], [], [], []
    stages: list[Stage] = []
    for store, path, name in zip(stores, paths, names, strict=True):
        starts = [0, *store.episode_ends[:-1].tolist()]
        lengths = np.diff(store.episode_ends, prepend=0).tolist()
        staging = expert_stages(store, name) if stages_from == "expert" else equal_parts(lengths, parts)
        taken = [evenly(len(episode), frames_per_episode) for episode in staging.stages[:count]]
        rows.append(np.concatenate([start + steps for start, steps in zip(starts[:count], taken, strict=True)]))
        labels += [len(stages) + episode[steps] for episode, steps in zip(staging.stages[:count], taken, strict=True)]
        episodes += [np.full(len(steps), episode) for episode, steps in enumerate(taken)]
        of = len(staging.meanings)
        stages += [Stage(name, place + 1, of, meaning) for place, meaning in enumerate(staging.meanings)]
        facts.append(
            {
                "demos": str(path),
                "task": name,
                "episodes": count,
                "frames": sum(map(len, taken)),
                "stages": list(staging.meanings),
                "disagreement": round(staging.disagreement, 4),
                "origin": store.origin,
            }
        )
    return StagedFrames(
        tuple(stores), tuple(rows), np.concatenate(labels), np.concatenate(episodes), tuple(stages), tuple(facts)
    )


def evenly(length: int, count: int) -> np.ndarray:
    """At most `count` of range(length), the first and the last among them, (min(length, count),) int64."""
    return np.unique(np.linspace(0, length - 1, min(length, count)).round().astype(np.int64))
