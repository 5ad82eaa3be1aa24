"""Reads the episodes that a run's policies played."""

from pathlib import Path
from typing import Any

from policy_examples.benchmarking.results import read_rows
from policy_examples.explain.reporting.jsonfiles import read_lines, read_object
from policy_examples.explain.reporting.successes import Success
from policy_examples.policy_files import WEIGHTS
from policy_examples.rollout import fingerprint

UNKNOWN = "a policy"
"""Whose weights do not lie here, so that nothing says which of the run's it is."""


def read_successes(folder: Path, evaluations: list[dict[str, Any]], task: str | None) -> list[Success]:
    """All that a run's folder says about success: of the finished policy, of evaluations, under shifts, of others.

    Args:
        evaluations: lines of evaluations.jsonl.
        task: that the run's policy learned; None: unknown.
    """
    found = []
    for place in (folder, *sorted(path.parent for path in folder.glob("[!.]*/rollout.json"))):
        found += _played(place, folder, task, bool(evaluations))
    if evaluations:
        last, best = evaluations[-1], max(evaluations, key=lambda line: (line["success"], line["step"]))
        ended = any((folder / name).exists() for name in ("policy", "rows.csv"))  # a benchmark may not keep the policy
        what = f"policy of the last step, {last['step']:,}"
        unended = f"latest evaluation, at step {last['step']:,}; training has not ended"
        found.append(_evaluation(folder, last, what if ended else unended))
        if len(evaluations) > 1:
            what = f"best of {len(evaluations)} evaluations, at step {best['step']:,}"
            found.append(_evaluation(folder, best, what, selected=True))
    whole = {row.shift for row in read_rows(folder / "rows.csv")} if (folder / "rows.csv").exists() else set()
    for path in sorted(folder.glob("episodes-*.jsonl")):
        shift = path.stem.removeprefix("episodes-")
        if not shift.isdigit() and (outcomes := read_outcomes(path)):
            what = f"finished policy under the shift “{shift}”"
            what += "" if shift in whole else f", unfinished: {len(outcomes)} episodes"
            found.append(_success(what, outcomes, shift=shift, unfinished=shift not in whole))
    return sorted(found, key=lambda success: (success.aside, success.unfinished, bool(success.shift)))


def read_outcomes(path: Path) -> dict[int, bool]:
    """{seed: solved} of a file of episodes, in the order of the seeds; empty where there is no such file."""
    lines = read_lines(path, ("seed", "success"))
    return dict(sorted((int(line["seed"]), bool(line["success"])) for line in lines))


def _played(folder: Path, run: Path, task: str | None, evaluated: bool) -> list[Success]:
    """What episodes.jsonl of a demo or a rollout says, or what it has played so far; `run` has the policies.

    Args:
        evaluated: the run has evaluations of its own, which a policy that nothing identifies must not stand before.
    """
    facts = read_object(folder / "rollout.json") if (folder / "rollout.json").exists() else {}
    shift, played = facts.get("shift") or "", facts.get("task") or task
    who = _player(run, facts.get("policy"))
    what = who + (f" on {played}" if task and played != task else "")
    what += f" under the shift “{shift}”" if shift else ""
    what += f", {folder.name}" if folder != run else ""
    outcomes, unfinished = read_outcomes(folder / "episodes.jsonl"), False
    if not outcomes and (outcomes := read_outcomes(folder / "episodes.partial")):
        what += f", unfinished: {len(outcomes)} of {facts.get('episodes', '?')} episodes"
        unfinished = True
    aside = who in ("best policy", "another policy") or bool(task and played != task) or (who == UNKNOWN and evaluated)
    found = _success(what, outcomes, shift=shift, aside=aside, unfinished=unfinished, task=played or "")
    return [found] if outcomes else []


def _player(run: Path, played: str | None) -> str:
    """Which of a run's policies has this fingerprint; None, as of older rollouts, is taken for the finished one."""
    there = [name for name in ("policy", "best") if (run / name / WEIGHTS).is_file()]
    if played is None:
        return "finished policy"
    if not there:
        return UNKNOWN
    names = {"policy": "finished policy", "best": "best policy"}
    return next((names[name] for name in there if fingerprint(run / name) == played), "another policy")


def _evaluation(folder: Path, line: dict[str, Any], what: str, selected: bool = False) -> Success:
    outcomes = read_outcomes(folder / f"episodes-{line['step']}.jsonl")
    if len(outcomes) == line["episodes"]:
        return _success(what, outcomes, selected=selected)
    return Success(what, round(line["success"] * line["episodes"]), line["episodes"], selected=selected)


def _success(what: str, outcomes: dict[int, bool], **facts: Any) -> Success:
    return Success(what, sum(outcomes.values()), len(outcomes), outcomes, **facts)
