"""Shows several runs beside each other."""

from collections.abc import Mapping, Sequence

from policy_examples.explain.reporting.blind_tasks import blind_note, solved_by_blind
from policy_examples.explain.reporting.elements import Html, element, folded, html, join, paragraph, table
from policy_examples.explain.reporting.facts import (
    demonstrations_of,
    encoder_label,
    settings_of,
    steps_of,
    training_seed,
)
from policy_examples.explain.reporting.learning_part import learning_part, predicted
from policy_examples.explain.reporting.runs import Run
from policy_examples.explain.reporting.successes import Success, percent, percent_range
from policy_examples.explain.reporting.tracks import Track, published_cells, tracks

OF_PLACE = ("output", "demos")
"""Settings that say where things lie, which differs between any two runs."""


def comparison_part(runs: Sequence[Run]) -> Html:
    """Rails, a table of all runs, learning curves together, settings that differ."""
    colours = range(len(runs))
    learned, marks = learning_part(runs, colours), dict.fromkeys(solved_by_blind(runs), "°")
    rates = [
        _track(run, run.headline, colour, marks) for run, colour in zip(runs, colours, strict=True) if run.headline
    ]
    parts = [
        tracks(rates) if rates else html(""),
        table("All runs", _HEADER, [_row(run, marks) for run in runs]),
        blind_note(runs, ""),
        join([element("h3", "Learning curves"), learned]) if learned else html(""),
        _differences(runs),
    ]
    return join(parts)


_HEADER = (
    "run", "success", "95 % interval", "episodes", "best evaluation", "DP3", "image DP", "encoder", "task", "seed",
    "demonstrations", "steps", "last error",
)  # fmt: skip


def _row(run: Run, marks: Mapping[str, str]) -> list[object]:
    headline, best = run.headline, run.best
    values: list[object] = [
        element("a", run.name, href=f"#{anchor(run)}"),
        headline and percent(headline.rate) + (" so far" if headline.unfinished else ""),
        headline and percent_range(*headline.interval),
        headline and headline.episodes,
        best and percent(best.rate),
        *published_cells("" if headline and headline.shift else (headline and headline.task) or run.task),
        encoder_label(run),
        run.task + marks.get(run.task, ""),
        training_seed(run),
        demonstrations_of(run),
        None if (steps := steps_of(run)) is None else f"{steps:,}",
        f"{run.losses[-1]['loss']:.3g}" + (" (noise)" if predicted(run) == "epsilon" else "") if run.losses else None,
    ]
    return ["–" if value in (None, "") else value for value in values]


def _track(run: Run, success: Success, colour: int, marks: Mapping[str, str]) -> Track:
    name = element("a", run.name, href=f"#{anchor(run)}")
    told = ", ".join(part for part in (run.task + marks.get(run.task, ""), encoder_label(run), success.what) if part)
    note = f"{success.solved} of {success.episodes}; {told}"
    return Track(name, success.rate, success.interval, note, colour, "" if success.shift else success.task or run.task)


def anchor(run: Run) -> str:
    """Of the run's section: letters, digits and hyphens, another for each name."""
    return "run-" + "".join(sign if sign.isascii() and sign.isalnum() else f"-{ord(sign):x}-" for sign in run.name)


def _differences(runs: Sequence[Run]) -> Html:
    """Settings in which the runs are not all the same; nothing where fewer than two say what they were asked for."""
    configured = [run for run in runs if run.config]
    if len(configured) < 2:
        return html("")
    settings = [settings_of(run) for run in configured]
    names = dict.fromkeys(name for each in settings for name in each)
    rows = [
        (name, *(each.get(name, "–") for each in settings))
        for name in names
        if name not in OF_PLACE and len({each.get(name) for each in settings}) > 1
    ]
    known = ", ".join(run.name for run in configured)
    if not rows:
        return paragraph(f"No setting differs between {known}, but for folders.", class_="note")
    title = f"Settings that differ: {len(rows)}"
    return folded(title, table(title, ("setting", *(run.name for run in configured)), rows, numbers=False))
