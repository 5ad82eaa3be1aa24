"""Rows of results for tests."""

from dataclasses import replace

from policy_examples.benchmarking.demonstrations import draw_of
from policy_examples.benchmarking.results import Row
from policy_examples.envs.tasks import difficulty

PLAIN = Row(
    suite="paper34",
    task="drawer-open",
    difficulty="easy",
    encoder="xdistill",
    checkpoint="bundled",
    weights="",
    norm="frozen",
    readout="pooled",
    encoder_lr=1.0,
    seed=0,
    draw=0,
    preset="cpu",
    precision="bf16",
    demonstrations=10,
    best=0.5,
    last=0.5,
    top5=0.5,
    curve="",
    evaluations=3,
    episodes=20,
    shift="",
    steps=600,
    minutes=7.0,
    parameters=11_000_000,
    ms_per_frame=6.5,
    image_size_px=96,
    machine="2 cores",
    command="xdistill benchmark ...",
    commit="0123456789ab",
)


def row(encoder: str, task: str, seed: int, best: float, **changes: object) -> Row:
    """A row whose `best`, `top5` and `last` are the same."""
    details = {"best": best, "last": best, "top5": best, "difficulty": difficulty(task)}
    details |= {"draw": draw_of(task, seed)}
    if encoder != "xdistill":
        details |= {"checkpoint": "", "norm": ""}
    return replace(PLAIN, encoder=encoder, task=task, seed=seed, **{**details, **changes})  # type: ignore[arg-type]
