"""The runs of a benchmark: which there are, where they lie, how they are repeated."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

from policy_examples.benchmarking.demonstrations import DRAWS, SEEDS_APART, draw_of
from policy_examples.benchmarking.protocols import PROTOCOLS, PresetName
from policy_examples.encoders import EncoderName
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS
from xdistill_encoder.norms import Norm

READ_POINTS = ("pointnet-dp3",)
"""Encoders that need point clouds in the demonstrations."""
BATCH_NORM_TRAP = "batch-trap"
"""The norm of runs that show what live batch norm does to an averaged policy; `batch` by mistake is refused."""
NORMS = ("frozen", "group", BATCH_NORM_TRAP)
OWN_NORMS = {"xdistill": "frozen", "resnet18-scratch": "group", "resnet18-imagenet": "frozen"}
"""What an encoder has where none is asked for."""


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder as a benchmark's command names it: NAME[,checkpoint=...][,norm=...][,readout=...][,lr=...]."""

    name: str
    checkpoint: str | None = None
    norm: str | None = None
    readout: str = "pooled"
    lr: float = 1.0
    """Its learning rate as a share of the head's; 0: its weights stay as they are."""

    def __str__(self) -> str:
        changed = {"checkpoint": self.checkpoint, "norm": self.norm}
        changed |= {"readout": None if self.readout == "pooled" else self.readout}
        changed |= {"lr": None if self.lr == 1 else f"{self.lr:.15g}"}
        return ",".join([self.name, *(f"{key}={value}" for key, value in changed.items() if value is not None)])


def parse_encoder(text: str) -> EncoderChoice:
    """Read such a name.

    Raises:
        ValueError: no encoder of that name, or a setting that encoders do not have.
    """
    name, *settings = text.split(",")
    if name not in get_args(EncoderName):
        raise ValueError(f"encoders: expected names among {', '.join(get_args(EncoderName))}, got {name!r}.")
    chosen = {key: value for key, _, value in (setting.partition("=") for setting in settings)}
    if not all(chosen.values()) or not set(chosen) <= {"checkpoint", "norm", "readout", "lr"}:
        raise ValueError(f"encoders: expected NAME[,checkpoint=...][,norm=...][,readout=...][,lr=...], got {text!r}.")
    if chosen.get("norm") not in (None, *NORMS):
        raise ValueError(
            f"encoders: expected a norm among {', '.join(NORMS)}, got {text!r}. With `batch` the averaged copy that is "
            f"evaluated would run with statistics that nothing updates; {BATCH_NORM_TRAP} shows what comes of that."
        )
    lr = chosen.pop("lr", None)
    if lr and name == "blind":
        raise ValueError(f"encoders: blind has no weights that could learn; leave lr out of {text!r}.")
    # The same run, however it was asked for. A norm beside another checkpoint stays, so that this can refuse it.
    if name == "xdistill" and chosen.get("checkpoint") == DEFAULT_CHECKPOINTS["group"]:
        chosen.setdefault("norm", "group")
    if name == "xdistill" and chosen.get("checkpoint") == DEFAULT_CHECKPOINTS[_weights_norm(chosen.get("norm"))]:
        chosen.pop("checkpoint")
    if "checkpoint" not in chosen and chosen.get("norm") == OWN_NORMS.get(name):
        chosen.pop("norm", None)
    return EncoderChoice(name, **chosen, lr=_share(lr, text) if lr else 1.0)


def _share(lr: str, text: str) -> float:
    """The encoder's learning rate as a share of the head's."""
    try:
        share = float(lr)
    except ValueError:
        share = -1
    if not 0 <= share < float("inf"):
        raise ValueError(
            "encoders: expected as lr a share of the head's learning rate, such as 0.1, or 0 for weights that stay as "
            f"they are, got {text!r}."
        )
    return share


def _weights_norm(norm: str | None) -> Norm:
    """What the weights of an encoder with this norm were trained with."""
    return "group" if norm == "group" else "batch"


@dataclass(frozen=True)
class Run:
    """A policy to train and to evaluate."""

    task: str
    encoder: EncoderChoice
    seed: int
    preset: PresetName
    demonstrations: int | None = None
    """None is the preset's number."""
    steps: int | None = None
    """None is the preset's."""
    bf16: bool | None = None
    """None: where the machine computes it natively."""
    shared_draws: bool = False
    """A seed draws the same in all tasks."""

    @property
    def draw(self) -> int:
        """From which placements of the demonstrations and noise of the training follow, whatever the encoder."""
        return self.seed if self.shared_draws else draw_of(self.task, self.seed)

    def command(self, shift: str | None = None) -> str:
        """What repeats this run alone, or its evaluation under a shift; tells runs apart."""
        words = ["--tasks", self.task, "--encoders", str(self.encoder), "--seeds", str(self.seed)]
        words += ["--preset", self.preset]
        options = {
            "--demonstrations": self.demonstrations,
            "--steps": self.steps,
            "--bf16": self.bf16,
        }
        for option, value in options.items():
            words += [] if value is None else [option, str(value)]
        words += ["--shared-draws"] if self.shared_draws else []
        words += ["--shifts", shift] if shift else []
        return shlex.join(["xdistill", "benchmark", *words])

    def folder(self, output: Path) -> Path:
        """Where its files lie."""
        steps = "" if self.steps is None else f"-{self.steps}-steps"
        precision = {None: "", True: "-bf16", False: "-fp32"}[self.bf16]
        precision += "-shared-draws" if self.shared_draws else ""
        encoder = re.sub(r"[^\w.=,-]+", "_", str(self.encoder))
        return output / f"{self._budget()}{steps}{precision}" / self.task / encoder / f"seed-{self.seed}"

    def store(self, output: Path, points: bool) -> Path:
        """The demonstrations, shared by all encoders; with point clouds where one of them needs these."""
        name = f"draw-{self.draw}{'-points' if points else ''}.zarr"
        return output / self._budget() / self.task / "demonstrations" / name

    def _budget(self) -> str:
        asked = self.demonstrations
        return self.preset if asked is None else f"{self.preset}-{asked}-demonstrations"


def plan_runs(
    tasks: Sequence[str],
    encoders: Sequence[str],
    seeds: Sequence[int],
    preset: PresetName,
    demonstrations: int | None = None,
    steps: int | None = None,
    bf16: bool | None = None,
    shared_draws: bool = False,
) -> list[Run]:
    """Every seed of every task with every encoder; a task's encoders follow each other, so that they compare early.

    Raises:
        ValueError: nothing to run, or an encoder, preset, seed or number that does not exist.
    """
    if preset not in PROTOCOLS:
        raise ValueError(f"preset: expected one of {', '.join(PROTOCOLS)}, got {preset!r}.")
    for name, values in (("tasks", tasks), ("encoders", encoders), ("seeds", seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"{name}: expected one or more, each once, got {', '.join(map(str, values)) or 'none'}.")
    if strange := [seed for seed in seeds if not 0 <= seed < DRAWS]:
        raise ValueError(f"seeds: expected 0 to {DRAWS - 1}, got {strange[0]}: later placements belong to evaluation.")
    for name, number in (("demonstrations", demonstrations), ("steps", steps)):
        if number is not None and number < 1:
            raise ValueError(f"{name}: expected 1 or more, got {number}.")
    if demonstrations is not None and demonstrations > SEEDS_APART:
        raise ValueError(
            f"demonstrations: expected at most {SEEDS_APART}, got {demonstrations}: a seed's placements begin "
            f"{SEEDS_APART} after those of the seed before, so that they would share some."
        )
    if demonstrations == PROTOCOLS[preset].demonstrations:
        demonstrations = None  # the same run, however it was asked for
    choices = [parse_encoder(text) for text in encoders]
    for text, choice in zip(encoders, choices, strict=True):
        if choices.count(choice) > 1:
            raise ValueError(f"encoders: expected each once, got {choice} again as {text}.")
    return [
        Run(task, encoder, seed, preset, demonstrations, steps, bf16, shared_draws)
        for seed, task, encoder in product(seeds, tasks, choices)
    ]
