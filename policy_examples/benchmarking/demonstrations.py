"""The demonstrations that a seed stands for, collected once."""

from typing import Any

from policy_examples import demos
from policy_examples.formats.episodes import Selection
from policy_examples.formats.opening import open_episodes

SEEDS_APART = 1_000
"""Two seeds of a benchmark, or of the demo, share no demonstration."""


def first_seed(seed: int) -> int:
    """The placement seed of the first attempt at a demonstration."""
    return seed * SEEDS_APART


def collect_or_check(asked: demos.Config) -> None:
    """Collect demonstrations; where some are already, see that they are those.

    Raises:
        ValueError: others are there, or one of `xdistill demos`.
    """
    if not asked.output.exists():
        demos.collect_store(asked)
        return
    there = open_episodes(asked.output, Selection())
    facts: dict[str, Any] = {
        "task": asked.task,
        "episodes": asked.episodes,
        "first_seed": asked.seed,
        "image_size_px": asked.image_size_px,
        "render": asked.render,
        "points": asked.points,
        "steps_after_success": asked.steps_after_success,
    }
    found = {name: there.origin.get(name) for name in facts} | {"episodes": len(there.lengths)}
    differing = [name for name in facts if found[name] != facts[name]]
    if differing:
        expected, got = (", ".join(f"{name} {each[name]!r}" for name in differing) for each in (facts, found))
        raise ValueError(
            f"output: expected demonstrations with {expected} in {asked.output}, got {got}; name another folder, or "
            "delete them with all that was learned from them."
        )
