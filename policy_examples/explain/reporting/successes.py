"""Success rates with their intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Success:
    """What one policy reached in one set of episodes."""

    what: str
    """Which policy played what, in a few words."""
    solved: int
    episodes: int
    outcomes: Mapping[int, bool] = field(default_factory=dict)
    """{placement seed: solved}; empty where single episodes are not known."""
    selected: bool = False
    """It is the best of several evaluations, higher than one of them would be again."""
    shift: str = ""
    """What differed from the demonstrations' scene; empty for nothing."""
    aside: bool = False
    """Of another policy or task than the run's: no number to know the run by."""
    unfinished: bool = False
    """More episodes were asked for; those that end first are mostly solved ones."""
    task: str = ""
    """That was played; empty: the run's."""

    @property
    def rate(self) -> float:
        return self.solved / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.solved, self.episodes)


def wilson(solved: int, episodes: int) -> tuple[float, float]:
    """The 95 % score interval of a rate, both ends in [0, 1] (Wilson 1927, JASA 22:209).

    Raises:
        ValueError: no episodes, or a number of solved ones that is not among them.
    """
    if episodes < 1 or not 0 <= solved <= episodes:
        raise ValueError(f"episodes: expected 1 or more with 0 to all of them solved, got {solved} of {episodes}.")
    share, weight = solved / episodes, Z**2 / episodes
    centre = (share + weight / 2) / (1 + weight)
    reach = Z / (1 + weight) * sqrt(share * (1 - share) / episodes + weight / (4 * episodes))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def percent(share: float) -> str:
    """ "85 %", and "86.7 %" where whole percents would hide something."""
    value = 100 * share
    return f"{value:.0f} %" if abs(value - round(value)) < 0.05 else f"{value:.1f} %"


def percent_range(low: float, high: float) -> str:
    """ "64 to 95 %"."""
    return f"{100 * low:.0f} to {100 * high:.0f} %"
