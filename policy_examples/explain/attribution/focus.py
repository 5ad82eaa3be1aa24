"""How much of a saliency map lies on task objects, how spread it is."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from policy_examples.augmentation import centre_crop


@dataclass(frozen=True)
class Focus:
    """One map's numbers; None where there is nothing to state."""

    step: int
    """Of the episode."""
    method: str
    encoder: str
    share: float | None
    """Of the map's sum inside the mask; None without a mask, or where the map is 0 everywhere."""
    area: float | None
    """Of the pixels that the encoder sees inside the mask: the share of a map that is the same everywhere."""
    entropy: float | None
    """Of the map as a distribution over these pixels, in units of the even one's: 1 is even, 0 a single pixel."""


@dataclass(frozen=True)
class Summary:
    """The means over the steps of an episode for one encoder, one method."""

    method: str
    encoder: str
    share: float | None
    """Over the steps that have a share and show an object."""
    area: float | None
    """Over the same steps."""
    lift: float | None
    """share / area: 1 is a map that knows nothing of objects."""
    entropy: float | None
    steps: int
    """That `share` is the mean of."""
    blank: int
    """Steps whose map is 0 everywhere."""

    def __str__(self) -> str:
        entropy = "-" if self.entropy is None else f"{self.entropy:.2f}"
        found = f"{self.method:<15} {self.encoder:<32} entropy {entropy}"
        if self.share is not None and self.area is not None:
            found += f"   {self.share:6.1%} on task objects, which are {self.area:.1%} of what it sees"
            found += "" if self.lift is None else f" (x {self.lift:.1f})"
        return found + (f"   {self.blank} frames without any saliency" if self.blank else "")


def share_inside(saliency: np.ndarray, mask: np.ndarray) -> float | None:
    """Saliency (H, W), 0 or above, mask (H, W) bool -> share of its sum inside; None where all of it is 0."""
    total = saliency.sum(dtype=np.float64)
    return float(saliency[mask].sum(dtype=np.float64) / total) if total > 0 else None


def entropy(saliency: np.ndarray) -> float | None:
    """Shannon's entropy of the map over that of an even one, in [0, 1]; None where all of it is 0."""
    total = saliency.sum(dtype=np.float64)
    if total <= 0:
        return None
    probabilities = saliency[saliency > 0].astype(np.float64) / total
    return float(-(probabilities * np.log(probabilities)).sum() / math.log(saliency.size)) + 0.0


def focus_of(
    step: int,
    method: str,
    encoder: str,
    saliency: np.ndarray,
    mask: np.ndarray | None,
    crop_px: tuple[int, int] | None = None,
) -> Focus:
    """All numbers of one map, (H, W), of which the encoder saw the middle of `crop_px`, (H, W); None: all of it."""
    if crop_px is not None:
        saliency = centre_crop(saliency, crop_px)
        mask = None if mask is None else centre_crop(mask, crop_px)
    share = None if mask is None else share_inside(saliency, mask)
    area = None if mask is None else float(mask.mean())
    return Focus(step, method, encoder, share, area, entropy(saliency))


def summarize(rows: Sequence[Focus]) -> list[Summary]:
    """One line for every method, encoder, in the order in which they come."""
    groups: dict[tuple[str, str], list[Focus]] = {}
    for row in rows:
        groups.setdefault((row.method, row.encoder), []).append(row)
    return [_summary(method, encoder, group) for (method, encoder), group in groups.items()]


def _summary(method: str, encoder: str, rows: Sequence[Focus]) -> Summary:
    rated = [(row.share, row.area) for row in rows if row.share is not None and row.area]
    share, area = mean(share for share, _ in rated), mean(area for _, area in rated)
    lift = share / area if share is not None and area else None
    entropies = [row.entropy for row in rows if row.entropy is not None]
    return Summary(method, encoder, share, area, lift, mean(entropies), len(rated), len(rows) - len(entropies))


def mean(values: Iterable[float]) -> float | None:
    """None of nothing."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else None


def write_csv(rows: Sequence[Focus], path: Path) -> None:
    """A line a map; what there is nothing to state of stays empty."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Focus)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
