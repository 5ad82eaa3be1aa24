"""The Markdown tables of a comparison, each a function of it."""

from collections.abc import Callable, Iterable, Sequence

from policy_examples.benchmarking import paper
from policy_examples.benchmarking.comparison import BLIND, ROUNDING, Comparison, Metric, collect_scores
from policy_examples.benchmarking.statistics import Estimate, Scores, differences, estimate, task_means
from policy_examples.envs.published import PUBLISHED

WITHOUT_BLIND = "all without °"


def groups(comparison: Comparison) -> dict[str, list[str]]:
    """{name: tasks}: each difficulty, all tasks, those that `blind` does not solve."""
    found: dict[str, list[str]] = {}
    for task, difficulty in comparison.tasks.items():
        found.setdefault(difficulty, []).append(task)
    seen = [task for task in comparison.tasks if task not in comparison.solved_by_blind]
    return found | {"all": list(comparison.tasks), WITHOUT_BLIND: seen}


def by_difficulty(comparison: Comparison, metric: Metric) -> str:
    """A row per encoder: mean and interval over each group of tasks."""

    def cells(encoder: str) -> list[str]:
        return [percent(comparison.scores(encoder, metric, tasks)) for tasks in groups(comparison).values()]

    header = [f"{name} ({len(tasks)})" for name, tasks in groups(comparison).items()]
    return table(["encoder", *header], comparison.encoders, cells)


def by_metric(comparison: Comparison) -> str:
    """A row per encoder: best, mean of the five best, last, over all tasks."""
    metrics: tuple[Metric, ...] = ("best", "top5", "last")

    def cells(encoder: str) -> list[str]:
        return [percent(comparison.scores(encoder, metric)) for metric in metrics]

    return table(["encoder", "best", "mean of the 5 best", "last"], comparison.encoders, cells)


def paired(comparison: Comparison, metric: Metric, reference: str) -> str:
    """A row a rival: differences with intervals; of the tasks that `blind` does not solve, how many are won."""

    def cells(encoder: str) -> list[str]:
        gaps = paired_differences(comparison, metric, reference, encoder)
        seen = {task: gap for task, gap in gaps.items() if task not in comparison.solved_by_blind}
        means = task_means(seen).values()
        won, lost = sum(mean > ROUNDING for mean in means), sum(mean < -ROUNDING for mean in means)
        return [percent(gaps, signed=True), percent(seen, signed=True), f"{won} / {len(means) - won - lost} / {lost}"]

    header = [f"{reference} minus", "all", WITHOUT_BLIND, "won / tied / lost without °"]
    return table(header, [encoder for encoder in comparison.encoders if encoder != reference], cells)


def paired_differences(comparison: Comparison, metric: Metric, reference: str, encoder: str) -> Scores:
    """{task: {seed: reference - encoder}}."""
    return differences(comparison.scores(reference, metric), comparison.scores(encoder, metric))


def by_task(comparison: Comparison, metric: Metric) -> str:
    """A row per task, with what DP3's table says of it."""
    means = {encoder: task_means(comparison.scores(encoder, metric)) for encoder in comparison.encoders}

    def cells(task: str) -> list[str]:
        ours = [f"{100 * means[encoder][task]:.1f}" for encoder in means]
        if task not in PUBLISHED:
            return [comparison.tasks[task], *ours, "", ""]
        low, high = PUBLISHED[task].image_dp
        theirs = [str(PUBLISHED[task].dp3), str(low) if low == high else f"{low}-{high}"]
        return [comparison.tasks[task], *ours, *theirs]

    marked = {task: f"{task}°" if task in comparison.solved_by_blind else task for task in comparison.tasks}
    header = ["task", "difficulty", *comparison.encoders, "published: DP3", "published: image DP"]
    return table(header, comparison.tasks, cells, marked)


def by_shift(comparison: Comparison) -> str:
    """A row per encoder: success under each shift, of that without one for the same policies."""
    shifts = list(dict.fromkeys(row.shift for row in comparison.shifted))

    def cells(encoder: str) -> list[str]:
        plain = comparison.scores(encoder, "last")
        texts = []
        for shift in shifts:
            rows = [row for row in comparison.shifted if row.shift == shift and comparison.label(row) == encoder]
            shifted = collect_scores(rows, "last")
            same = {task: {seed: plain[task][seed] for seed in seeds} for task, seeds in shifted.items()}
            texts.append(f"{percent(shifted)} of {percent(same)}" if shifted else "")
        return texts

    return table(["encoder", *shifts], comparison.encoders, cells)


def encoders(comparison: Comparison) -> str:
    """A row per encoder: checkpoint, the weights that its runs started from, norm, readout, its learning rate,
    parameters, image size, latency."""

    def cells(encoder: str) -> list[str]:
        rows = comparison.rows_of(encoder)
        latencies = [row.ms_per_frame for row in rows if row.ms_per_frame is not None]
        sizes = sorted({row.image_size_px for row in rows if row.image_size_px is not None})
        return [
            rows[0].checkpoint,
            ", ".join(dict.fromkeys(row.weights or "not on record" for row in rows)) if rows[0].checkpoint else "",
            rows[0].norm,
            rows[0].readout,
            "" if encoder == BLIND else f"{rows[0].encoder_lr:g}",
            f"{rows[0].parameters / 1e6:.2f}",
            ", ".join(map(str, sizes)),
            f"{min(latencies):.1f}" if latencies else "",
            ", ".join(dict.fromkeys(row.machine for row in rows)),
            f"{sum(row.minutes for row in rows) / len(rows):.1f}",
        ]

    header = [
        "encoder",
        "checkpoint",
        "weights, sha256",
        "norm",
        "readout",
        "lr / head's",
        "parameters, million",
        "image, px",
        "ms a frame",
        "machine",
        "minutes a run",
    ]
    return table(header, comparison.encoders, cells)


def over(columns: Sequence[str], encoders: Sequence[str], reference: str, scores: Callable[[str, int], Scores]) -> str:
    """A row per encoder: its mean in each column; a row per rival: how far the reference is ahead of it.

    Args:
        scores: (encoder, index of a column) -> {task: {seed: success}}.
    """
    rivals = {f"{reference} minus {rival}": rival for rival in encoders if rival != reference}

    def cells(line: str) -> list[str]:
        texts = []
        for column in range(len(columns)):
            if line in rivals:
                gaps = differences(scores(reference, column), scores(rivals[line], column))
                texts.append(percent(gaps, signed=True))
            else:
                texts.append(percent(scores(line, column)))
        return texts

    return table(["", *columns], [*encoders, *rivals], cells)


def published() -> str:
    """The paper's table."""
    rows = paper.SUCCESS_PERCENT

    def cells(tasks: str) -> list[str]:
        return [rows[tasks].get(encoder, "") for encoder in paper.ENCODERS]

    return table(["published", *paper.ENCODERS], rows, cells)


def percent(scores: Scores, signed: bool = False) -> str:
    """ "93.8 [91.3, 96.3]"; empty where there is no score."""
    if not scores:
        return ""
    found: Estimate = estimate(scores, limits=(-1, 1) if signed else (0, 1))
    sign = "+" if signed else ""
    if found.low is None or found.high is None:
        return f"{100 * found.mean:{sign}.1f}"
    return f"{100 * found.mean:{sign}.1f} [{100 * found.low:{sign}.1f}, {100 * found.high:{sign}.1f}]"


def table(
    header: Sequence[str], keys: Iterable[str], cells: Callable[[str], list[str]], names: dict[str, str] | None = None
) -> str:
    """A Markdown table with a row a key; `names` is what the first column shows for them."""
    lines = [header, ["---"] * len(header), *([(names or {}).get(key, key), *cells(key)] for key in keys)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
