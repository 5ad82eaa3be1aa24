"""Scores of the student while it learns, drawn beside its loss."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from accelerate import Accelerator
from matplotlib.figure import Figure
from torch import nn

from distillation.scoring.feature_scores import score_features
from distillation.scoring.labelled import open_bank_and_queries
from distillation.training.runlog import append_line, read_rows, write_text

SCORES_FILE = "scores.jsonl"
CURVE_FILE = "curve.png"


class Monitor:
    """Nearest-neighbour scores at the epochs at which it is asked, in `scores.jsonl` and `curve.png`.

    The main process measures while the others wait.

    Args:
        bank, queries: labelled images as `open_labelled` takes them; without them nothing is scored.
        folder: that of the run, with its log.
        accelerator: of the run.
        start: steps already taken; later scores of an interrupted run are dropped.
        batch_size, workers: with which images are embedded.
        bank_split, queries_split: of Hub datasets.

    Raises:
        ValueError: see `open_bank_and_queries`.
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
    ):
        scored = bool(bank or queries)
        self.labelled = open_bank_and_queries(bank, queries, bank_split, queries_split) if scored else None
        self.folder = folder
        self.accelerator = accelerator
        self.loading = {"batch_size": batch_size, "workers": workers}
        path = folder / SCORES_FILE
        if accelerator.is_main_process and path.exists():
            write_text(path, "".join(f"{json.dumps(row)}\n" for row in read_rows(path) if row["step"] <= start))

    def measure(self, step: int, features: nn.Module, image_size_px: int) -> float:
        """Score features, (B, 3, S, S) uint8 -> (B, D), after a step and draw the curves anew; returns the seconds.

        A step whose scores are on disk is not scored again.
        """
        began = time.perf_counter()
        if self.accelerator.is_main_process:
            path = self.folder / SCORES_FILE
            measured = path.exists() and any(row["step"] == step for row in read_rows(path))
            if self.labelled and not measured:
                device = self.accelerator.device
                scores = score_features(features, *self.labelled, image_size_px, device, **self.loading)
                append_line(path, json.dumps({"step": step, **scores}))
                self.accelerator.log(scores, step=step)
            draw_curves(self.folder)
        self.accelerator.wait_for_everyone()
        return time.perf_counter() - began


def draw_curves(folder: Path) -> None:
    """Write `curve.png` of a run's folder: its loss and, where there are any, its scores over the steps."""
    log = read_rows(folder / "log.jsonl") if (folder / "log.jsonl").exists() else []
    scores = read_rows(folder / SCORES_FILE) if (folder / SCORES_FILE).exists() else []
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.plot([row["step"] for row in log], [row["loss"] for row in log], color="#9aa7b4", linewidth=1)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    if scores:
        right = axes.twinx()
        for name in (key for key in scores[0] if key != "step"):
            right.plot([row["step"] for row in scores], [row[name] for row in scores], marker="o", label=name)
        right.set_ylabel("%")
        right.legend(loc="center right", fontsize=8, frameon=False)
    partial = folder / f".{CURVE_FILE}.partial"
    figure.savefig(partial, format="png")
    partial.replace(folder / CURVE_FILE)
