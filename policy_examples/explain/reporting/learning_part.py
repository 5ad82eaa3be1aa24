"""Shows how runs learned: denoising error, success while training."""

from collections.abc import Sequence

from policy_examples.explain.reporting.curves import Axes, Line, chart, legend
from policy_examples.explain.reporting.elements import Html, element, figure, folded, html, join, table
from policy_examples.explain.reporting.runs import Run
from policy_examples.explain.reporting.successes import percent, percent_range, wilson

MOST_BANDS = 2
"""More intervals on top of each other hide each other."""
TABLE_ROWS = 12
PREDICTED = {"sample": "the denoised, normalised actions", "epsilon": "the noise that was added to normalised actions"}
"""Prediction of a policy -> what its training loss is the error of."""
ERROR = Axes("optimizer step", "denoising error", log=True)
SUCCESS = Axes("optimizer step", "success", limits=(0.0, 1.0), percent=True)


def learning_part(runs: Sequence[Run], colours: Sequence[int]) -> Html:
    """Charts of the runs together, their numbers to open; empty where no run has a log.

    Args:
        colours: of each run.
    """
    pairs = list(zip(runs, colours, strict=True))
    errors = {
        of: [
            _error_line(run, colour)
            for run, colour in pairs
            if predicted(run) == prediction and any(line["loss"] > 0 for line in run.losses)
        ]
        for prediction, of in PREDICTED.items()
    }
    shade = sum(bool(run.evaluations) for run in runs) <= MOST_BANDS
    rates = [_success_line(run, colour, shade) for run, colour in pairs if run.evaluations]
    charts = []
    for of, lines in errors.items():  # of two quantities, which do not compare
        if lines:
            said = "; ".join(f"{line.name} ends at {line.ys[-1]:.3g}" for line in lines)
            caption = f"Mean squared error of {of}; lower is better, the scale is logarithmic."
            charts.append(figure(chart(lines, ERROR, said), caption))
    if rates:
        said = "; ".join(f"{line.name} ends at {percent(line.ys[-1])}" for line in rates)
        shaded = " Shaded: 95 % Wilson intervals over the episodes." if shade else ""
        caption = f"Success of the averaged weights, always on the same episodes.{shaded}"
        charts.append(figure(chart(rates, SUCCESS, said), caption))
    if not charts:
        return html("")
    names = legend([line for lines in errors.values() for line in lines] or rates) if len(runs) > 1 else html("")
    return join([names, element("div", *charts, class_="grid"), _numbers(runs)])


def predicted(run: Run) -> str:
    """What its policy answers: "sample" or "epsilon"."""
    return run.config.get("prediction") or run.policy.get("shape", {}).get("prediction") or "sample"


def _error_line(run: Run, colour: int) -> Line:
    return Line(run.name, [line["step"] for line in run.losses], [line["loss"] for line in run.losses], colour=colour)


def _success_line(run: Run, colour: int, shaded: bool) -> Line:
    lines = run.evaluations
    ends = [wilson(round(line["success"] * line["episodes"]), line["episodes"]) for line in lines] if shaded else []
    return Line(run.name, [line["step"] for line in lines], [line["success"] for line in lines], ends, True, colour)


def _numbers(runs: Sequence[Run]) -> Html:
    """The charts as tables, for those who do not see them."""
    tables = []
    for run in runs:
        every = -(-len(run.losses) // TABLE_ROWS) or 1
        chosen = run.losses[every - 1 :: every]
        if chosen:
            rows = [(f"{line['step']:,}", f"{line['loss']:.4g}") for line in chosen]
            tables.append(table(f"{run.name}: denoising error", ("step", "error"), rows))
        if run.evaluations:
            rows = []
            for line in run.evaluations:
                low, high = wilson(round(line["success"] * line["episodes"]), line["episodes"])
                rows.append((f"{line['step']:,}", percent(line["success"]), percent_range(low, high), line["episodes"]))
            tables.append(table(f"{run.name}: evaluations", ("step", "success", "95 % interval", "episodes"), rows))
    return folded("The curves in numbers", *tables)
