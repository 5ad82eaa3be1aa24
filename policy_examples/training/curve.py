"""Draws what a training run logged."""

import json
from pathlib import Path
from typing import Any

from policy_examples.whole_files import whole


def draw_curves(run: Path) -> None:
    """Write learning_curve.png of a run: denoising error over steps, and success where evaluations.jsonl lies there."""
    from matplotlib.figure import Figure

    losses, evaluations = read_lines(run / "log.jsonl"), read_lines(run / "evaluations.jsonl")
    figure = Figure(figsize=(6, 6 if evaluations else 4), layout="constrained")
    axes = figure.subplots(2 if evaluations else 1, sharex=True, squeeze=False)[:, 0]
    axes[0].plot([line["step"] for line in losses], [line["loss"] for line in losses])
    axes[0].set_yscale("log")
    axes[0].set_ylabel(f"denoising error (MSE of {'noise' if predicts_noise(run) else 'normalised actions'})")
    if evaluations:
        axes[1].plot([line["step"] for line in evaluations], [line["success"] for line in evaluations], "o-")
        axes[1].set_ylim(-0.02, 1.02)
        axes[1].set_ylabel("success, averaged weights")
    for panel in axes:
        panel.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    with whole(run / "learning_curve.png") as partial:
        figure.savefig(partial, dpi=120)


def predicts_noise(run: Path) -> bool:
    """Whether config.json says so."""
    path = run / "config.json"
    return path.exists() and json.loads(path.read_text())["config"].get("prediction") == "epsilon"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file, none where it is missing."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
