"""A comparison as a Markdown document."""

from collections import Counter
from collections.abc import Iterable, Sequence

from policy_examples.benchmarking import curves, paper, tables
from policy_examples.benchmarking.comparison import BLIND, BLIND_FLOOR, BLIND_SHARE, Comparison, Metric
from policy_examples.benchmarking.results import Row
from policy_examples.benchmarking.statistics import FEWEST_SPARE

METHOD = (
    "Success in percent. A mean over tasks of means over seeds, with its 95 % interval in brackets: bootstrap, seeds "
    "drawn again within each task, tasks kept (stratified; Agarwal et al. 2021, arXiv 2108.13264), widened for few "
    "seeds (`policy_examples/benchmarking/statistics.py`). No interval: a task among them has one seed alone, the "
    f"tasks whose seeds differ have fewer than {FEWEST_SPARE} seeds beyond their first ones, so that too little tells "
    "the spread. All seeds meet the same episodes; which ones these happen to be is not in the interval."
)
SHARED = (
    "A seed drew the same noise in all tasks, in many the same relative placements too (`--shared-draws`). Intervals "
    "take tasks for independent; as far as this makes them succeed and fail together, they are too narrow."
)
PAIRED = "A difference is over the tasks and seeds that both have, a mean over all that the encoder itself has."
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
            "the interval of the difference. A task is won by any difference, and be it one episode; those with ° are "
            "not counted.",
        ),
        ("Best, five best, last", tables.by_metric(comparison)),
        (
            "",
            "`best` is the paper's number; the best of several evaluations is higher than one of them would be again. "
            "Of fewer than five evaluations, the mean of the five best is that of all. These are means over all tasks, "
            f"those that `{BLIND}` solves among them.",
        ),
    ]
    if curves.uneven(comparison):
        sections.append(("", "Success over training is left out: not all rows tell of the same number of evaluations."))
    if len(curves.evaluations_of(comparison)) > 1:
        sections += [
            ("Over training", curves.over_training(comparison, reference)),
            (
                "",
                "The policy at that step of its training, over all tasks. The learning rate falls to 0 only at the "
                f"end, so that an early policy is not what a shorter training would give. {PAIRED}",
            ),
        ]
    sections += [
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
                "The finished policy under the shift, of its last evaluation without one on the same tasks and seeds. "
                "They are the same for all encoders with a number in the column; those without have no row under it. "
                f"Tasks that `{BLIND}` solves are among them.",
            ),
        ]
    sections += [
        ("The encoders", tables.encoders(comparison)),
        (
            "",
            "Latency (the least of the runs) and minutes (a mean) are of machines as busy as they were; "
            "`xdistill latency` on a quiet one compares encoders.",
        ),
        (PUBLISHED, tables.published()),
        ("", f"Success in percent. Source: {paper.SOURCE}; no part of our means."),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" if title else text for title, text in sections) + "\n"


def summary(comparison: Comparison) -> str:
    """What the numbers rest on."""
    rows = comparison.rows
    steps = sorted({row.steps for row in rows})
    precisions = join_kinds(row.precision for row in rows)
    if " or " in precisions:
        precisions += ", the same for all encoders on a task and seed"
    text = (
        f"Preset {rows[0].preset}: {rows[0].demonstrations} demonstrations, "
        f"{' to '.join(map(str, dict.fromkeys((steps[0], steps[-1]))))} steps, {rows[0].episodes} episodes an "
        f"evaluation, {join_kinds(row.evaluations for row in rows)} evaluations a run, "
        f"{precisions}. "
        f"{len(comparison.tasks)} tasks ({seeds_of_tasks(comparison)}), {len(rows)} runs."
    )
    if BLIND in comparison.encoders and (fewer := lacking(comparison)):
        text += f" `{BLIND}` has {fewer}; its means are over its other seeds."
    text += f" {SHARED}" if shares_draws(rows) else ""
    counts = {"": comparison.left_out, " under a shift": comparison.left_out_shifted}
    for where, count in counts.items():
        text += f" Rows{where} left out, because not every encoder has their task and seed: {count}." if count else ""
    notes = (weights_note(encoder, comparison.rows_of(encoder)) for encoder in comparison.encoders)
    return " ".join(filter(None, [text, *notes]))


def shares_draws(rows: Iterable[Row]) -> bool:
    """Whether several tasks have one draw of placements and noise."""
    tasks_of: dict[int, set[str]] = {}
    for row in rows:
        tasks_of.setdefault(row.draw, set()).add(row.task)
    return any(len(tasks) > 1 for tasks in tasks_of.values())


def weights_note(encoder: str, rows: Sequence[Row]) -> str:
    """A sentence where an encoder's runs did not all start from the same weights; else empty."""
    kinds = Counter(row.weights for row in rows)
    if len(kinds) < 2:
        return ""
    parts = [f"{count} from {f'weights {kind}' if kind else 'weights not on record'}" for kind, count in kinds.items()]
    return f"The {len(rows)} runs of `{encoder}` started from different weights: {', '.join(parts)}."


def join_kinds(values: Iterable[int | str]) -> str:
    """ "600", "bf16 or fp32": all that there are."""
    return " or ".join(map(str, sorted(set(values))))


def lacking(comparison: Comparison) -> str:
    """ "no run with seed 2 of push, seeds 1, 2 of hammer": what `blind` has not, and encoders that see have."""
    its = {(row.task, row.seed) for row in comparison.rows_of(BLIND)}
    missing: dict[str, set[int]] = {}
    for row in comparison.rows:
        if (row.task, row.seed) not in its:
            missing.setdefault(row.task, set()).add(row.seed)
    tasks: dict[str, list[str]] = {}
    for task in filter(missing.__contains__, comparison.tasks):
        named = ", ".join(map(str, sorted(missing[task])))
        tasks.setdefault(f"seed{'s' * (len(missing[task]) > 1)} {named}", []).append(task)
    parts = [f"{seeds} of {', '.join(found)}" for seeds, found in tasks.items()]
    return f"no run with {'; '.join(parts)}" if parts else ""


def seeds_of_tasks(comparison: Comparison) -> str:
    """ "3 with seeds 0, 1; 2 with seed 0": which seeds how many tasks have, the same for all encoders that see."""
    seeds: dict[str, set[int]] = {}
    for row in comparison.rows:
        seeds.setdefault(row.task, set()).add(row.seed)
    tasks = Counter(tuple(sorted(found)) for found in seeds.values())
    return "; ".join(
        f"{count} with seed{'s' * (len(found) > 1)} {', '.join(map(str, found))}"
        for found, count in sorted(tasks.items(), key=lambda item: (-len(item[0]), item[0]))
    )


def blind_note(comparison: Comparison) -> str:
    """Which tasks say nothing about encoders."""
    if comparison.without_blind >= set(comparison.tasks):
        return f"`{BLIND}`, which reads proprioception alone, has no run here: which tasks need no camera is not known."
    solved = [f"{task}°" for task in comparison.tasks if task in comparison.solved_by_blind]
    text = (
        f"° `{BLIND}` reads proprioception alone; a task that it solves says nothing about encoders. It counts as "
        f"solving a task where its best evaluations reach {BLIND_FLOOR:.0%}, and {BLIND_SHARE:.0%} of those of every "
        f"other encoder, each time on the seeds that both have: {', '.join(solved) or 'none here'}."
    )
    unknown = [task for task in comparison.tasks if task in comparison.without_blind]
    return text + (f" It shares no run with another encoder on {', '.join(unknown)}." if unknown else "")
