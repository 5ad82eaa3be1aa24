"""Success over the number of demonstrations."""

from collections.abc import Sequence
from pathlib import Path

from policy_examples.benchmarking import markdown, tables
from policy_examples.benchmarking.comparison import BLIND, Comparison, Metric, compare
from policy_examples.benchmarking.figure import COLOURS
from policy_examples.benchmarking.results import Row
from policy_examples.benchmarking.selection import Steps
from policy_examples.benchmarking.statistics import Scores, estimate


def compare_counts(
    rows: Sequence[Row],
    encoders: Sequence[str] = (),
    preset: str | None = None,
    steps: Steps | None = None,
    precision: str | None = None,
) -> dict[int, Comparison]:
    """{number of demonstrations: its comparison}, all of the same encoders, tasks and seeds, from few to many.

    Raises:
        ValueError: see `compare`, which chooses among the rows of each number; one number alone, or no task and seed
            that all of them have.
    """
    counts = sorted({row.demonstrations for row in rows if preset in (None, row.preset)})
    if len(counts) < 2:
        raise ValueError(
            f"over: expected rows of several numbers of demonstrations, got {', '.join(map(str, counts)) or 'none'}; "
            "run `xdistill benchmark --demonstrations NUMBER` for another one."
        )
    kept: Sequence[Row] = rows
    while True:  # what one number loses, all lose; after which `blind` may lack its only seed of a task
        found = {count: compare(kept, encoders, preset, count, steps, precision) for count in counts}
        first, *others = found.values()
        encoders = [name for name in first.encoders if all(name in other.encoders for other in others)]
        shared = set.intersection(*(_runs(comparison, encoders) for comparison in found.values()))
        if not encoders or not shared:
            raise ValueError(
                "over: expected an encoder, a task and a seed that all numbers of demonstrations have, got none; "
                "choose with --encoders, --suite or --preset."
            )
        if all(each.encoders == encoders and _runs(each, encoders) == shared for each in found.values()):
            return found
        kept = [row for row in kept if (row.task, row.seed) in shared]


def _runs(comparison: Comparison, encoders: Sequence[str]) -> set[tuple[str, int]]:
    """(task, seed) of those of these encoders that see, of whose seeds `blind` may lack some."""
    seeing = [name for name in encoders if name != BLIND] or encoders
    return {(row.task, row.seed) for name in seeing for row in comparison.rows_of(name)}


def by_count(comparisons: dict[int, Comparison], metric: Metric, reference: str) -> str:
    """A row an encoder: its mean with each number of demonstrations; a row a rival: how far the reference is ahead."""
    each = list(comparisons.values())

    def scores(encoder: str, column: int) -> Scores:
        return each[column].scores(encoder, metric)

    header = [f"{count} demonstrations" for count in comparisons]
    return tables.over(header, each[0].encoders, reference, scores)


def write_counts_markdown(comparisons: dict[int, Comparison], metric: Metric, reference: str) -> str:
    """The table, what it rests on, how its intervals are made."""
    rests = "\n".join(f"- {markdown.summary(comparison)}" for comparison in comparisons.values())
    title = f"## Success over the number of demonstrations: {markdown.METRICS[metric]}"
    return "\n\n".join((title, markdown.METHOD, rests, by_count(comparisons, metric, reference))) + "\n"


def draw_counts(comparisons: dict[int, Comparison], metric: Metric, image: Path) -> None:
    """Write a PNG: a line an encoder, its mean over all tasks against the number of demonstrations; bars are 95 %
    intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for index, encoder in enumerate(next(iter(comparisons.values())).encoders):
        found = [estimate(comparison.scores(encoder, metric)) for comparison in comparisons.values()]
        reach = [[100 * (each.mean - (each.mean if each.low is None else each.low)) for each in found]]
        reach += [[100 * ((each.mean if each.high is None else each.high) - each.mean) for each in found]]
        axes.errorbar(
            list(comparisons), [100 * each.mean for each in found], yerr=reach, fmt="o-",
            color=COLOURS[index % len(COLOURS)], capsize=2, label=encoder,
        )  # fmt: skip
    axes.set_xticks(list(comparisons))
    axes.set_ylim(-3, 103)
    axes.set_xlabel("demonstrations", fontsize="small")
    axes.set_ylabel(f"success, %, {markdown.METRICS[metric]}", fontsize="small")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", frameon=False)
    figure.savefig(image, dpi=120)
