"""Shows what was measured beside the paper's numbers."""

from collections.abc import Sequence

from policy_examples.benchmarking import paper
from policy_examples.benchmarking.statistics import Scores, estimate
from policy_examples.explain.reporting.blind_tasks import blind_note
from policy_examples.explain.reporting.elements import Html, join, paragraph, table
from policy_examples.explain.reporting.facts import demonstrations_of, encoder_label, steps_of, training_seed
from policy_examples.explain.reporting.runs import Run
from policy_examples.explain.reporting.successes import percent, percent_range

Group = tuple[str, str, str]
"""encoder, demonstrations, optimizer steps: what a mean may be taken over."""
METHOD = (
    "A mean over tasks of means over training seeds. Its 95 % interval is a bootstrap that draws the seeds of each "
    "task again (arXiv 2108.13264), widened for few seeds. Where one run is all there is, the interval is Wilson's, "
    "over its episodes: how far this one policy's rate is known, not what another seed would give. “–”: too few seeds "
    "for an interval, seeds that agree, or nothing measured."
)


def paper_part(runs: Sequence[Run]) -> Html:
    """A row per encoder of the runs, then the paper's table."""
    measured = [
        (encoder, demonstrations, steps, len({run.task for run in its}), len(its), *_cells(its))
        for (encoder, demonstrations, steps), its in grouped(runs).items()
    ]
    interval = "95 % interval"
    counts = ("encoder", "demonstrations", "steps", "tasks", "runs")
    header = (*counts, "success", interval, "best evaluation", interval)
    published = [
        (tasks, *(f"{values[name]} %" if name in values else "–" for name in paper.ENCODERS))
        for tasks, values in paper.SUCCESS_PERCENT.items()
    ]
    warning = (
        "The paper counts the best evaluation of each seed, as a mean over many tasks: its numbers say what was "
        "reached there, not what these runs should have reached."
    )
    ours = table("Measured: these runs", header, measured)
    return join(
        [
            ours if measured else paragraph("No run here has a success rate beside the name of its encoder."),
            paragraph(METHOD, class_="note"),
            blind_note(runs, "The means above include it."),
            table("Published: the paper, success", ("tasks", *paper.ENCODERS), published),
            paragraph(f"Source: {paper.SOURCE}. {warning}", class_="note"),
        ]
    )


def grouped(runs: Sequence[Run]) -> dict[Group, list[Run]]:
    """Trained runs whose mean says something: evaluated to the end, one encoder, as many demonstrations and steps."""
    groups: dict[Group, list[Run]] = {}
    for run in runs:
        if run.encoder and run.headline is not None and not (run.headline.shift or run.headline.unfinished):
            length = (demonstrations_of(run), steps_of(run))
            key = (encoder_label(run), *("–" if number is None else f"{number:,}" for number in length))
            groups.setdefault((key[0], key[1], key[2]), []).append(run)
    return groups


def _cells(runs: Sequence[Run]) -> list[str]:
    """Success and best evaluation of a group, each with its interval."""
    cells = []
    for found in ([run.headline for run in runs], [run.best for run in runs]):
        rates = [(run, success) for run, success in zip(runs, found, strict=True) if success is not None]
        if len(rates) < len(runs):
            cells += ["–", "–"]
        elif len(rates) == 1:
            cells += [percent(rates[0][1].rate), percent_range(*rates[0][1].interval)]
        else:
            cells += _mean(scores_of([(run, success.rate) for run, success in rates]))
    return cells


def scores_of(rates: Sequence[tuple[Run, float]]) -> dict[str, dict[int, float]]:
    """{task: {seed: rate}}; runs of the same task and seed, or without a seed, count as seeds of their own."""
    scores: dict[str, dict[int, float]] = {}
    for run, rate in rates:
        seeds = scores.setdefault(run.task, {})
        seed = training_seed(run)
        seeds[seed if seed is not None and seed not in seeds else -1 - len(seeds)] = rate
    return scores


def _mean(scores: Scores) -> list[str]:
    found = estimate(scores)
    between = "–" if found.low is None or found.high is None else percent_range(found.low, found.high)
    return [percent(found.mean), between]
