"""Reads the episodes that a run's policies played."""

from pathlib import Path
from typing import Any

from policy_examples.explain.reporting.jsonfiles import read_lines, read_object
from policy_examples.explain.reporting.successes import Success


def read_successes(folder: Path, evaluations: list[dict[str, Any]]) -> list[Success]:
    """All that a run's folder says about success: of the finished policy, of evaluations, under shifts.

    Args:
        evaluations: lines of evaluations.jsonl.
    """
    found = []
    for place in (folder, *sorted(path.parent for path in folder.glob("*/rollout.json"))):
        found += _finished(place, "" if place == folder else place.name)
    if evaluations:
        last, best = evaluations[-1], max(evaluations, key=lambda line: (line["success"], line["step"]))
        found.append(_evaluation(folder, last, f"policy of the last step, {last['step']:,}"))
        if len(evaluations) > 1:
            what = f"best of {len(evaluations)} evaluations, at step {best['step']:,}"
            found.append(_evaluation(folder, best, what, selected=True))
    for path in sorted(folder.glob("episodes-*.jsonl")):
        shift = path.stem.removeprefix("episodes-")
        if not shift.isdigit() and (outcomes := read_outcomes(path)):
            found.append(_success(f"finished policy under the shift “{shift}”", outcomes, shift=shift))
    return sorted(found, key=lambda success: bool(success.shift))


def read_outcomes(path: Path) -> dict[int, bool]:
    """{seed: solved} of a file of episodes, in the order of the seeds; empty where there is no such file."""
    lines = read_lines(path, ("seed", "success"))
    return dict(sorted((int(line["seed"]), bool(line["success"])) for line in lines))


def _finished(folder: Path, name: str) -> list[Success]:
    """What episodes.jsonl of a demo or a rollout says, or what it has played so far."""
    facts = read_object(folder / "rollout.json") if (folder / "rollout.json").exists() else {}
    shift = facts.get("shift") or ""
    what = "finished policy" + (f" under the shift “{shift}”" if shift else "") + (f", {name}" if name else "")
    outcomes = read_outcomes(folder / "episodes.jsonl")
    if not outcomes and (outcomes := read_outcomes(folder / "episodes.partial")):
        what += f", unfinished: {len(outcomes)} of {facts.get('episodes', '?')} episodes"
    return [_success(what, outcomes, shift=shift)] if outcomes else []


def _evaluation(folder: Path, line: dict[str, Any], what: str, selected: bool = False) -> Success:
    outcomes = read_outcomes(folder / f"episodes-{line['step']}.jsonl")
    if len(outcomes) == line["episodes"]:
        return _success(what, outcomes, selected=selected)
    return Success(what, round(line["success"] * line["episodes"]), line["episodes"], selected=selected)


def _success(what: str, outcomes: dict[int, bool], selected: bool = False, shift: str = "") -> Success:
    return Success(what, sum(outcomes.values()), len(outcomes), outcomes, selected, shift)
