"""Draws the learning curve of a training log."""

import json
from pathlib import Path


def draw_learning_curve(log: Path, image: Path) -> None:
    """Read log lines {"step": ..., "loss": ...} and write a PNG with a logarithmic loss axis."""
    from matplotlib.figure import Figure

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([line["step"] for line in lines], [line["loss"] for line in lines])
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("denoising error (MSE of normalised actions)")
    axes.grid(alpha=0.3)
    figure.savefig(image, dpi=120)
