"""What came of a run, as rows."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from policy_examples.benchmarking.protocols import PROTOCOLS
from policy_examples.benchmarking.results import Row, curve_text
from policy_examples.benchmarking.runfiles import describe_machine, spent_minutes
from policy_examples.benchmarking.runs import EncoderChoice, Run
from policy_examples.benchmarking.weights import shorten
from policy_examples.encoders import frame_ms
from policy_examples.envs.tasks import difficulty
from policy_examples.policy import DiffusionPolicy
from policy_examples.rollout import PlayedEpisode, success_rate

TOP = 5


def row_of_training(run: Run, suite: str, folder: Path, policy: DiffusionPolicy, commit: str | None) -> Row:
    """The row of a finished training: its evaluations, what it took, what its encoder costs on this machine."""
    lines = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    rates = [line["success"] for line in lines]
    protocol, encoder = PROTOCOLS[run.preset], policy.encoder_of(0)
    frame_px = protocol.image_size_px(run.task)
    milliseconds = frame_ms(encoder, frame_px, protocol.points)
    return Row(
        suite=suite,
        task=run.task,
        difficulty=difficulty(run.task),
        encoder=run.encoder.name,
        checkpoint=checkpoint_name(run.encoder, encoder.saved["origin"]),
        weights=shorten(encoder.saved.get("weights_sha256")),
        norm=encoder.norm or "",
        readout=run.encoder.readout,
        encoder_lr=run.encoder.lr,
        seed=run.seed,
        draw=run.draw,
        preset=run.preset,
        precision="bf16" if json.loads((folder / "config.json").read_text())["config"]["bf16"] else "fp32",
        demonstrations=run.demonstrations or protocol.demonstrations,
        best=max(rates),
        last=rates[-1],
        top5=mean_of_best(rates),
        curve=curve_text((line["step"], line["success"]) for line in lines),
        evaluations=len(rates),
        episodes=lines[-1]["episodes"],
        shift="",
        steps=lines[-1]["step"],
        minutes=round(spent_minutes(folder), 2),
        parameters=encoder.parameter_count,
        ms_per_frame=None if milliseconds is None else round(milliseconds, 3),
        image_size_px=(encoder.image_size_px or frame_px) if encoder.reads == "image" else None,
        machine=describe_machine(),
        command=run.command(),
        commit=commit or "",
    )


def row_of_shift(
    trained: Row, run: Run, suite: str, shift: str, episodes: list[PlayedEpisode], minutes: float, commit: str | None
) -> Row:
    """The row of a finished policy under a shift; `trained` is the row of its training."""
    rate = success_rate(episodes)
    changed: dict[str, Any] = {
        "suite": suite,
        "best": None,
        "last": rate,
        "top5": None,
        "curve": "",
        "evaluations": 1,
        "episodes": len(episodes),
    }
    changed |= {"shift": shift, "minutes": round(minutes, 2), "machine": describe_machine()}
    return replace(trained, **changed, command=run.command(shift), commit=commit or "")


def mean_of_best(rates: list[float]) -> float:
    """The mean of the five best evaluations, or of all where there are fewer."""
    best = sorted(rates)[-TOP:]
    return sum(best) / len(best)


def checkpoint_name(choice: EncoderChoice, origin: str | None) -> str:
    """What the weights are called, `origin` by themselves; empty where random or the encoder's own published ones."""
    return choice.checkpoint or (origin or "" if choice.name == "xdistill" else "")
