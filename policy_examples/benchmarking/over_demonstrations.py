"""A comparison of numbers of demonstrations as a Markdown document with a picture."""

from functools import partial
from pathlib import Path

from policy_examples.benchmarking import tables
from policy_examples.benchmarking.comparison import BLIND, Metric, learning
from policy_examples.benchmarking.demonstration_counts import CountComparison
from policy_examples.benchmarking.figure import COLOURS, reach
from policy_examples.benchmarking.markdown import METHOD, METRICS, PAIRED, join_kinds, weights_note
from policy_examples.benchmarking.statistics import Scores, estimate
from policy_examples.whole_files import whole


def write_counts_markdown(comparison: CountComparison, metric: Metric, reference: str) -> str:
    """The table, what it rests on, how its intervals are made; `reference` is what the others are compared with."""
    title = f"## Success over the number of demonstrations: {METRICS[metric]}"
    return "\n\n".join((title, METHOD, summary(comparison), by_count(comparison, metric, reference), PAIRED)) + "\n"


def by_count(comparison: CountComparison, metric: Metric, reference: str) -> str:
    """A row an encoder: its mean with each number of demonstrations; a row a rival: how far the reference is ahead."""

    def scores(encoder: str, column: int) -> Scores:
        return comparison.scores(encoder, comparison.counts[column], metric)

    header = [f"{count} demonstrations" for count in comparison.counts]
    return tables.over(header, list(comparison.rows), reference, scores)


def summary(comparison: CountComparison) -> str:
    """What the numbers rest on, who it is that they are of, what was left out."""
    rows = [row for its in comparison.rows.values() for row in its]
    steps = "; ".join(
        f"{join_kinds(row.steps for row in rows if row.demonstrations == count)} with {count}"
        for count in comparison.counts
    )
    seeing = [row for row in rows if row.encoder != BLIND] or rows
    runs = {(row.task, row.seed) for row in seeing}
    text = (
        f"Preset {rows[0].preset}, {rows[0].episodes} episodes an evaluation, "
        f"{join_kinds(row.evaluations for row in rows)} evaluations a run, "
        f"{join_kinds(row.precision for row in rows)}; steps: {steps} demonstrations. "
        f"{counted(len({task for task, _ in runs}), 'task')}, {counted(len(runs), 'run')} of each encoder with each "
        "number."
    )
    for label, its in comparison.rows.items():
        details = [its[0].checkpoint, its[0].norm and f"{its[0].norm} norm", f"{its[0].readout} readout"]
        details += [] if its[0].encoder_lr == 1 else [learning(its[0])]
        text += f"\n- `{label}`: {', '.join(filter(None, details))}"
        text += f"; of these runs it has {len({(row.task, row.seed) for row in its})}." if label == BLIND else ""
        note = weights_note(label, its)
        text += f". {note}" if note else ""
    if comparison.left_out:
        text += f"\n\nLeft out, because rows with some of these numbers lack: {', '.join(comparison.left_out)}."
    if comparison.rows_left_out:
        text += f"\n\nRows left out, because their task and seed lack elsewhere: {comparison.rows_left_out}."
    return text


def counted(count: int, noun: str) -> str:
    """ "1 task", "2 tasks"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def draw_counts(comparison: CountComparison, metric: Metric, image: Path) -> None:
    """Write a PNG: a line an encoder, its mean over all tasks against the number of demonstrations; bars are 95 %
    intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for index, encoder in enumerate(comparison.rows):
        colour = COLOURS[index % len(COLOURS)]
        found = [
            estimate(scores) for scores in map(partial(comparison.scores, encoder, metric=metric), comparison.counts)
        ]
        axes.plot(comparison.counts, [100 * each.mean for each in found], "o-", color=colour, label=encoder)
        for count, each in zip(comparison.counts, found, strict=True):
            axes.errorbar(count, 100 * each.mean, yerr=reach(each), color=colour, capsize=2)
    axes.set_xticks(comparison.counts)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("demonstrations", fontsize="small")
    axes.set_ylabel(f"success, %, {METRICS[metric]}", fontsize="small")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", frameon=False)
    with whole(image) as partial_image:
        figure.savefig(partial_image, dpi=120)
