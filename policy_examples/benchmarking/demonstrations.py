"""The demonstrations that a seed stands for, collected once."""

from pathlib import Path
from typing import Any

from policy_examples import demos
from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.envs.tasks import task_names
from policy_examples.formats.episodes import Selection
from policy_examples.formats.opening import open_episodes

SEEDS_APART = 1_000
"""Two draws of a benchmark, or two seeds of the demo, share no demonstration."""
DRAWS = FIRST_EVALUATION_SEED // SEEDS_APART
DRAWS_APART = 18
"""So many seeds of a task share no draw with those of another one, while there are at most 55 tasks."""


def draw_of(task: str, seed: int) -> int:
    """What a seed stands for on this task, a number below `DRAWS`: placements of the demonstrations, noise of training.

    MetaWorld places objects of one placement seed at the same share of their range in many tasks. A number of its own
    for each task makes success on one independent of that on others, as intervals of means over tasks take it to be.
    """
    return (task_names().index(task) * DRAWS_APART + seed) % DRAWS


def first_seed(draw: int) -> int:
    """The placement seed of the first attempt at a demonstration."""
    return draw * SEEDS_APART


def require_own_placements(store: Path, draw: int) -> None:
    """Raise a ValueError where an expert failed so often that demonstrations took placements of the next draw."""
    last = max(open_episodes(store, Selection()).origin.get("seeds", []), default=0)
    if last >= first_seed(draw + 1):
        raise ValueError(
            f"demonstrations: expected those of draw {draw} from placements below {first_seed(draw + 1)}, where the "
            f"next draw's begin, got {last} in {store}: the expert fails often; ask for fewer, and delete these."
        )


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
        "source": asked.source,
    }
    versions = demos.versions(asked)  # of what both know: an expert that is not at hand says nothing
    recorded = there.origin.get("versions", {})
    facts["versions"] = {**recorded, **{name: version for name, version in versions.items() if name in recorded}}
    found = {name: there.origin.get(name) for name in facts} | {"episodes": len(there.lengths)}
    found["versions"] = recorded
    differing = [name for name in facts if found[name] != facts[name]]
    if differing:
        expected, got = (", ".join(f"{name} {each[name]!r}" for name in differing) for each in (facts, found))
        raise ValueError(
            f"output: expected demonstrations with {expected} in {asked.output}, got {got}; name another folder, or "
            "delete them with all that was learned from them."
        )
