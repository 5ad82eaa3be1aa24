"""How well stages keep apart in a space of features: the silhouette with its interval.

Frames of one episode resemble each other, so that the interval is a bootstrap of whole episodes: they are drawn again
with replacement, and copies of a frame are not neighbours of each other. It says how far the score moves with other
demonstrations of the same tasks; the features, and a picture that was computed from them, stay as they are. Of an
encoder that learned from these demonstrations, it says nothing of how it would keep others apart.

It is the basic bootstrap: fewer different episodes are closer together, which lifts the score of a draw above that of
all as it lifts that of all above the truth. For few episodes it is stretched by sqrt(n / (n - 1)) and Student's over
the normal quantile (Hesterberg 2015, arXiv 1411.5279).
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import norm, t

COVERAGE = 0.95


@dataclass(frozen=True)
class Score:
    """A silhouette in [-1, 1]: 1, stages are far apart; 0, they overlap; below, frames are nearer to another stage."""

    mean: float
    low: float | None
    """Lower end of the 95 % interval; None of a single episode, which leaves nothing to draw from."""
    high: float | None

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.low is None else f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


class EpisodeSilhouette:
    """The mean silhouette (Rousseeuw 1987, Euclidean) of frames, as a function of how often each episode counts.

    Args:
        features: (F, D), any dtype of real numbers.
        stages: (F,) whole numbers.
        episodes: (F,) whole numbers.

    Raises:
        ValueError: fewer than two stages, or features that are not finite.
    """

    def __init__(self, features: np.ndarray, stages: np.ndarray, episodes: np.ndarray) -> None:
        if len(np.unique(stages)) < 2:
            raise ValueError(f"stages: a silhouette needs two or more, got {np.unique(stages).tolist()}.")
        if not np.isfinite(features).all():
            raise ValueError("features: expected finite numbers, got some that are not.")
        self.stage = np.unique(stages, return_inverse=True)[1]
        self.episode = np.unique(episodes, return_inverse=True)[1]
        self.episodes = int(self.episode.max()) + 1
        points = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float64))
        distance = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").numpy()  # (F, F)
        stage_count = int(self.stage.max()) + 1
        member = np.zeros((len(points), self.episodes * stage_count))  # (F, E * S), one 1 a row
        member[np.arange(len(points)), self.episode * stage_count + self.stage] = 1
        self._sums = (distance @ member).reshape(-1, self.episodes, stage_count)  # (F, E, S)
        self._counts = member.sum(axis=0).reshape(self.episodes, stage_count)

    def score(self, times: np.ndarray | None = None) -> float:
        """The mean over frames; NaN where fewer than two stages are left.

        Args:
            times: (E,), how often each episode counts; None counts each once, which is scikit-learn's silhouette.
        """
        times = np.ones(self.episodes) if times is None else times
        frames = np.arange(len(self.stage))
        weight = times[self.episode]  # (F,)
        sums = np.einsum("fes,e->fs", self._sums, times)  # distances to the frames of each stage
        counts = times @ self._counts  # (S,)
        if (counts > 0).sum() < 2:
            return float("nan")
        others = counts[self.stage] - weight  # of the same stage, without the frame and its copies
        within = sums[frames, self.stage] / np.maximum(others, 1)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
        means[frames, self.stage] = np.inf
        nearest = means.min(axis=1)
        larger = np.maximum(within, nearest)
        scores = np.where((others > 0) & (larger > 0), (nearest - within) / np.where(larger > 0, larger, 1), 0.0)
        return float(weight @ scores / weight.sum())


def silhouette(
    features: np.ndarray, stages: np.ndarray, episodes: np.ndarray, samples: int = 1000, seed: int = 0
) -> Score:
    """The mean silhouette with its 95 % interval, the same at every call.

    Args:
        features: (F, D).
        stages: (F,) whole numbers.
        episodes: (F,) whole numbers.
        samples: draws of the bootstrap.

    Raises:
        ValueError: fewer than two stages, features that are not finite, no sample.
    """
    if samples < 1:
        raise ValueError(f"samples: expected 1 or more, got {samples}.")
    parts = EpisodeSilhouette(features, stages, episodes)
    if parts.episodes < 2:
        return Score(parts.score(), None, None)
    random = np.random.default_rng(seed)
    count = parts.episodes
    drawn = random.multinomial(count, np.full(count, 1 / count), size=samples)
    scores = [parts.score(times.astype(float)) for times in drawn]
    mean, tail = parts.score(), (1 - COVERAGE) / 2
    lowest, highest = np.nanpercentile(scores, [100 * tail, 100 * (1 - tail)])
    stretch = (count / (count - 1)) ** 0.5 * t.ppf(tail, count - 1) / norm.ppf(tail)
    low, high = mean - stretch * (highest - mean), mean + stretch * (mean - lowest)
    return Score(mean, float(np.clip(low, -1, mean)), float(np.clip(high, mean, 1)))
