"""Steps of demonstrations -> stages of a task, which never go back in time."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_SHARE = 0.02
"""Of all steps; what an expert does more rarely is no stage."""


@dataclass(frozen=True)
class Staging:
    """The stages of some episodes.

    Attributes:
        stages: of each episode (L,) int64, from 0 up, never falling.
        meanings: what each stage is, for people.
        disagreement: share in [0, 1] of the steps whose own label is another stage's.
    """

    stages: tuple[np.ndarray, ...]
    meanings: tuple[str, ...]
    disagreement: float = 0.0


def equal_parts(lengths: Sequence[int], parts: int) -> Staging:
    """Each episode cut into so many parts of equal duration, to a step.

    Raises:
        ValueError: fewer than two parts, or an episode that is shorter than that.
    """
    if parts < 2:
        raise ValueError(f"parts: expected 2 or more, got {parts}.")
    if min(lengths) < parts:
        raise ValueError(f"parts: the shortest episode has {min(lengths)} steps, got {parts} parts; ask for fewer.")
    stages = tuple(parts * np.arange(length, dtype=np.int64) // length for length in lengths)
    return Staging(stages, tuple(f"part {part + 1} of {parts} of the time" for part in range(parts)))


def stages_of_labels(labels: Sequence[Sequence[str]]) -> Staging:
    """Stages from what each step says that it does, an episode a sequence.

    The labels are put in the order of their mean times. Each episode then gets the stages that never fall and differ
    from its own labels at as few steps as possible: an expert may take an earlier branch for a step again.

    Raises:
        ValueError: there are fewer than two stages.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for episode in labels:
        for step, label in enumerate(episode):
            times[label].append(step / len(episode))
    steps = sum(map(len, labels))
    frequent = [label for label, when in times.items() if len(when) >= MIN_SHARE * steps]
    ordered = sorted(frequent, key=lambda label: float(np.mean(times[label])))
    number = {label: index for index, label in enumerate(ordered)}
    raw = [np.array([number.get(label, -1) for label in episode]) for episode in labels]
    fitted = [never_falling(episode, len(ordered)) for episode in raw]
    present = np.unique(np.concatenate(fitted))
    if len(present) < 2:
        raise ValueError(f"stages: expected two or more, got {len(present)}: {', '.join(ordered)}.")
    differing = sum(int((own != given).sum()) for own, given in zip(raw, fitted, strict=True))
    return Staging(
        tuple(np.searchsorted(present, episode).astype(np.int64) for episode in fitted),
        tuple(ordered[stage] for stage in present),
        differing / steps,
    )


def never_falling(labels: np.ndarray, stages: int) -> np.ndarray:
    """The sequence in range(stages) that never falls and differs from labels (L,) at the fewest places, (L,) int64.

    A label of -1 differs from every stage. Of equally good sequences it is one that is late to move on.
    """
    wrong = (labels[:, None] != np.arange(stages)).astype(np.int64)  # (L, stages)
    total = wrong.copy()  # fewest differences up to a step that has this stage
    for step in range(1, len(labels)):
        total[step] += np.minimum.accumulate(total[step - 1])
    chosen = np.empty(len(labels), np.int64)
    highest = stages - 1
    for step in reversed(range(len(labels))):
        highest = chosen[step] = int(np.argmin(total[step, : highest + 1]))
    return chosen
