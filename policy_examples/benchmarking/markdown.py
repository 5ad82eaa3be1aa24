"""A comparison as a Markdown document."""

from policy_examples.benchmarking import paper, tables
from policy_examples.benchmarking.comparison import BLIND, BLIND_SHARE, Comparison, Metric

METHOD = (
    "Success in percent. A mean over tasks of means over seeds, with its 95 % interval in brackets: percentile "
    "bootstrap, seeds drawn again within each task, tasks kept (stratified; Agarwal et al. 2021, arXiv 2108.13264). "
    "With n seeds a task it is too narrow by a factor of about sqrt(1 - 1/n). No interval: no task has two seeds."
)
METRICS: dict[Metric, str] = {
    "best": "the best evaluation of each seed",
    "last": "the last evaluation of each seed",
    "top5": "the mean of the five best evaluations of each seed",
}
MEASURED = "Success by difficulty"
PUBLISHED = "The paper's own results"


def write_markdown(comparison: Comparison, metric: Metric, reference: str) -> str:
    """All tables; `reference` is the encoder that the others are compared with."""
    sections = [
        (f"{MEASURED}: {METRICS[metric]}", f"{METHOD}\n\n{summary(comparison)}"),
        ("", tables.by_difficulty(comparison, metric)),
        ("", blind_note(comparison)),
        (f"Paired with {reference}", tables.paired(comparison, metric, reference)),
        (
            "",
            f"{reference} minus the other, in percentage points, on the same tasks, demonstrations and episodes, with "
            "the interval of the difference.",
        ),
        ("Best, five best, last", tables.by_metric(comparison)),
        (
            "",
            "`best` is the paper's number; the best of several evaluations is higher than one of them would be again. "
            "Of fewer than five evaluations, the mean of the five best is that of all.",
        ),
        ("Task by task", tables.by_task(comparison, metric)),
        (
            "",
            f"° marks a task that `{BLIND}` solves. DP3 and image Diffusion Policy: as published by DP3 "
            "(arXiv 2403.03954), means of five best evaluations in older simulators; no part of our means.",
        ),
    ]
    if comparison.shifted:
        sections += [
            ("Under shifts", tables.by_shift(comparison)),
            (
                "",
                "The finished policy under the shift, of its last evaluation without one on the same tasks and seeds.",
            ),
        ]
    sections += [
        ("The encoders", tables.encoders(comparison)),
        (PUBLISHED, tables.published()),
        ("", f"Success in percent. Source: {paper.SOURCE}; no part of our means."),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" if title else text for title, text in sections) + "\n"


def summary(comparison: Comparison) -> str:
    """What the numbers rest on."""
    rows = comparison.rows
    evaluations = sorted({row.evaluations for row in rows})
    text = (
        f"Preset {rows[0].preset}: {rows[0].demonstrations} demonstrations, {rows[0].episodes} episodes an evaluation, "
        f"{' or '.join(map(str, evaluations))} evaluations a run. {len(comparison.tasks)} tasks, seeds "
        f"{', '.join(map(str, sorted({row.seed for row in rows})))}, {len(rows)} runs."
    )
    if comparison.left_out:
        text += f" Rows left out, because not every encoder has their task and seed: {comparison.left_out}."
    return text


def blind_note(comparison: Comparison) -> str:
    """Which tasks say nothing about encoders."""
    solved = [f"{task}°" for task in comparison.tasks if task in comparison.solved_by_blind]
    text = (
        f"° `{BLIND}` reads proprioception alone; a task that it solves says nothing about encoders. It counts as "
        f"solving a task where its best evaluations, over its seeds, reach {BLIND_SHARE:.0%} of those of the best "
        f"encoder: {', '.join(solved) or 'none here'}."
    )
    unknown = [task for task in comparison.tasks if task in comparison.without_blind]
    return text + (f" It was not run on {', '.join(unknown)}." if unknown else "")
