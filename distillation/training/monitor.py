"""Scores of the student while it learns, drawn beside its loss."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from accelerate import Accelerator
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from distillation.scoring.compared_teachers import embed_queries
from distillation.scoring.feature_scores import require_neighbours, score_features
from distillation.scoring.labelled import open_bank_and_queries
from distillation.students import Student
from distillation.teachers import Teacher
from distillation.training.runlog import LOG_FILE, append_line, read_rows, write_text

SCORES_FILE = "scores.jsonl"
CURVE_FILE = "curve.png"


class Monitor:
    """Scores of a student (`score_features`) at the epochs at which it is asked, in `scores.jsonl` and `curve.png`.

    The main process measures while the others wait.

    Args:
        bank, queries: labelled images as `open_labelled` takes them; without them nothing is scored.
        folder: that of the run, with its log.
        accelerator: of the run.
        start: steps already taken; later scores of an interrupted run are dropped.
        batch_size, workers: with which images are embedded.
        bank_split, queries_split: of Hub datasets.
        teachers: with which the student's estimates for the queries are compared; none: they are not.

    Raises:
        ValueError: see `open_bank_and_queries`; a bank that is too small; other images than earlier scores are of.
    """

    def __init__(
        self,
        bank: Sequence[str],
        queries: Sequence[str],
        folder: Path,
        accelerator: Accelerator,
        start: int,
        batch_size: int = 64,
        workers: int = 2,
        bank_split: str = "train",
        queries_split: str = "validation",
        teachers: Sequence[Teacher] = (),
    ):
        scored = bool(bank or queries)
        self.labelled = open_bank_and_queries(bank, queries, bank_split, queries_split) if scored else None
        if self.labelled:
            require_neighbours(self.labelled[0])
        self.folder = folder
        self.accelerator = accelerator
        self.loading = {"batch_size": batch_size, "workers": workers}
        self.teachers = teachers
        self._targets: list[Tensor] = []  # the teachers' embeddings of the queries, which stay the same
        self.scored_on = f"{' '.join(bank)} -> {' '.join(queries)}"
        path = folder / SCORES_FILE
        # Without a step there is no run that earlier rows are of.
        kept = [row for row in read_rows(path) if row["step"] <= start] if start and path.exists() else []
        others = {row["scored_on"] for row in kept if "scored_on" in row}
        if scored and others - {self.scored_on}:
            raise ValueError(
                f"score_queries: {path} holds scores of {others.pop()}, got {self.scored_on}; repeat those, or move "
                "the file away"
            )
        if accelerator.is_main_process and path.exists():
            write_text(path, "".join(f"{json.dumps(row)}\n" for row in kept))

    def steps(self, every: int, last: int) -> set[int]:
        """After which steps to measure: 0, every so many, and the last; without labelled images the last alone."""
        return {*(range(0, last, every) if self.labelled else ()), last}

    def measure(self, step: int, student: Student, image_size_px: int) -> float:
        """Score what a student would export after a step, draw the curves anew; returns the seconds.

        A step whose scores are on disk is not scored again.
        """
        began = time.perf_counter()
        if self.accelerator.is_main_process:
            path = self.folder / SCORES_FILE
            measured = path.exists() and any(row["step"] == step for row in read_rows(path))
            if self.labelled and not measured:
                device, encoder = self.accelerator.device, student.exported()
                if self.teachers and not self._targets:
                    self._targets = embed_queries(self.teachers, self.labelled[1], device, **self.loading)
                agreement = {"teacher_head": encoder.teacher_head, "targets": self._targets}
                scores = score_features(encoder, *self.labelled, image_size_px, device, **self.loading, **agreement)
                append_line(path, json.dumps({"step": step, **scores, "scored_on": self.scored_on}))
                self.accelerator.log(scores, step=step)
            draw_curves(self.folder)
        self.accelerator.wait_for_everyone()
        return time.perf_counter() - began


def draw_curves(folder: Path) -> None:
    """Write `curve.png` of a run's folder: its loss over the steps; beside it, where there are any, the scores in per
    cent, below it the others."""
    log = read_rows(folder / LOG_FILE) if (folder / LOG_FILE).exists() else []
    scores = read_rows(folder / SCORES_FILE) if (folder / SCORES_FILE).exists() else []
    names = list(dict.fromkeys(name for row in scores for name in row if name not in ("step", "scored_on")))
    percents = [name for name in names if name.endswith("_percent")]
    agreement = [name for name in names if name.startswith("teacher_")]
    others = [name for name in names if name not in percents + agreement]
    below = [group for group in (others, agreement) if group]

    figure = Figure(figsize=(7, 4 + 1.6 * len(below)), dpi=120, layout="constrained")
    ratios = [4, *[1.6] * len(below)]
    top, *panels = figure.subplots(len(ratios), sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    top.plot([row["step"] for row in log], [row["loss"] for row in log], color="#9aa7b4", linewidth=1)
    top.set(ylabel="loss", yscale="log")
    if percents:
        right = top.twinx()
        _draw_scores(right, scores, percents)
        right.set_ylabel("%")
    for axes, group in zip(panels, below, strict=True):
        _draw_scores(axes, scores, group)
        if group is agreement:
            axes.set_ylim(bottom=max(axes.get_ylim()[0], -0.5))  # far below 0 while the weights are random
    (panels or [top])[-1].set_xlabel("step")
    partial = folder / f".{CURVE_FILE}.partial"
    figure.savefig(partial, format="png")
    partial.replace(folder / CURVE_FILE)


def _draw_scores(axes: Axes, scores: Sequence[Mapping[str, float]], names: Sequence[str]) -> None:
    """A line for each name, over the steps at which it was measured."""
    for name in names:
        measured = [row for row in scores if name in row]
        axes.plot([row["step"] for row in measured], [row[name] for row in measured], marker="o", label=name)
    axes.legend(loc="best", fontsize=8, frameon=False)
