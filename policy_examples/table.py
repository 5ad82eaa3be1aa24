"""Sums up the results of a benchmark with intervals, beside the paper's numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from policy_examples.benchmarking.comparison import Identity, Metric, compare
from policy_examples.benchmarking.demonstration_counts import compare_counts
from policy_examples.benchmarking.figure import draw_comparison
from policy_examples.benchmarking.markdown import write_markdown
from policy_examples.benchmarking.over_demonstrations import draw_counts, write_counts_markdown
from policy_examples.benchmarking.results import Row, read_rows
from policy_examples.benchmarking.selection import Steps
from policy_examples.benchmarking.suites import SuiteName, suite_tasks
from policy_examples.whole_files import write_text


@dataclass(frozen=True)
class Config:
    """Which results, and how to show them."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """CSV files that `xdistill benchmark` wrote."""
    suite: SuiteName | None = None
    """Only tasks of this suite."""
    encoders: tuple[str, ...] = ()
    """Only these; a mean holds only tasks and seeds that all of them have (of a task `blind` needs one). None: all."""
    preset: str | None = None
    """Only rows of this preset; needed where the files have several."""
    demonstrations: int | None = None
    """Only rows of so many demonstrations; needed where the files have several numbers."""
    steps: Steps | None = None
    """Only rows of so many optimizer steps; `preset`: of the preset's own length, without trials by --steps."""
    precision: Literal["bf16", "fp32"] | None = None
    """Only rows that were trained in it; needed where an encoder has both on one task and seed."""
    over: Literal["demonstrations"] | None = None
    """In place of all else: success over the number of demonstrations, where the files have several numbers."""
    metric: Metric = "best"
    """The evaluation of a run that counts: the paper's `best`, `last`, or `top5`, the mean of the five best."""
    reference: str = "xdistill"
    """The encoder that the others are compared with."""
    output: Path | None = None
    """Base of the files .md and .png; None is the first CSV's name without its ending (with `_over_...`)."""


def write_tables(config: Config) -> tuple[Path, Path]:
    """Write the Markdown and the PNG; returns their paths.

    Raises:
        ValueError: see `compare`, `compare_counts` and `read_rows`; or no row of the reference encoder.
    """
    if not config.results:
        raise ValueError("results: expected at least one CSV, got none; `xdistill benchmark` writes one.")
    rows = [row for path in config.results for row in read_rows(path)]
    if config.suite is not None:
        rows = [row for row in rows if row.task in suite_tasks(config.suite)]
    if config.over is not None:
        return _write_over_demonstrations(config, rows)
    comparison = compare(rows, config.encoders, config.preset, config.demonstrations, config.steps, config.precision)
    reference = _reference(comparison.labels, config.reference)
    markdown, picture = _files(config.output or config.results[0].with_suffix(""))
    write_text(markdown, write_markdown(comparison, config.metric, reference))
    draw_comparison(comparison, config.metric, reference, picture)
    return markdown, picture


def _write_over_demonstrations(config: Config, rows: Sequence[Row]) -> tuple[Path, Path]:
    if config.demonstrations is not None:
        raise ValueError("demonstrations: expected no choice beside --over demonstrations, which shows all numbers.")
    comparison = compare_counts(rows, config.encoders, config.preset, config.steps, config.precision)
    reference = _reference(comparison.labels, config.reference)
    markdown, picture = _files(config.output or Path(f"{config.results[0].with_suffix('')}_over_demonstrations"))
    write_text(markdown, write_counts_markdown(comparison, config.metric, reference))
    draw_counts(comparison, config.metric, picture)
    return markdown, picture


def _files(base: Path) -> tuple[Path, Path]:
    """base.md, base.png, in a folder that exists."""
    base.parent.mkdir(parents=True, exist_ok=True)
    return Path(f"{base}.md"), Path(f"{base}.png")


def _reference(labels: Mapping[Identity, str], name: str) -> str:
    """The label of the first encoder that is called so."""
    for identity, label in labels.items():
        if name in (identity[0], label):
            return label
    raise ValueError(f"reference: expected one of {', '.join(labels.values())}, got {name!r}.")


def main() -> None:
    """`xdistill table`."""
    config = tyro.cli(Config, prog="xdistill table", description="Results of a benchmark -> Markdown and PNG.")
    try:
        markdown, picture = write_tables(config)
    except (OSError, ValueError) as error:
        raise SystemExit(f"xdistill table: {error}") from error
    print(markdown.read_text())
    print(f"{markdown}\n{picture}")


if __name__ == "__main__":
    main()
