"""Finds the tasks of the runs that say nothing about encoders."""

from collections.abc import Sequence

from policy_examples.benchmarking.comparison import BLIND, judge_blind
from policy_examples.explain.reporting.elements import Html, html, paragraph
from policy_examples.explain.reporting.runs import Run


def solved_by_blind(runs: Sequence[Run]) -> list[str]:
    """By the rule of `xdistill table`, among finished runs of `xdistill benchmark`, which evaluates all alike."""
    verdicts = judge_blind([run.row for run in runs if run.row is not None])
    return sorted(task for task, solved in verdicts.items() if solved)


def blind_note(runs: Sequence[Run], then: str) -> Html:
    """Which tasks these are, and `then`; nothing where there are none."""
    tasks = solved_by_blind(runs)
    if not tasks:
        return html("")
    marked = ", ".join(f"{task}°" for task in tasks)
    text = f"° {BLIND} reads proprioception alone, and solves {marked}: such a task says nothing about encoders. {then}"
    return paragraph(text.rstrip(), class_="note")
