"""Compare settings of the recipe at equal budget: `python -m distillation.ablation`."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from distillation import train
from distillation.datasets import open_images
from distillation.provenance import describe_run
from distillation.scoring.feature_scores import NEIGHBORS, score_features
from distillation.scoring.labelled import open_bank_and_queries
from distillation.scoring.results_csv import append_row, check_columns, read_rows
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.freed_memory import keep_freed_memory

BASE = "mse"
VARIANTS: dict[str, dict[str, object]] = {  # name -> settings that differ from the base, the paper's loss and views
    BASE: {},
    "mse, another seed": {"seed": 1},
    "mse, standardised": {"standardize": True},
    "cosine": {"loss": ("cosine",)},
    "cosine, standardised": {"loss": ("cosine",), "standardize": True},
    "smooth l1, standardised": {"loss": ("smooth_l1",), "standardize": True},
    "relational": {"loss": ("relational",)},
    "mse + relational, standardised": {"loss": ("mse", "relational"), "standardize": True},
    "mse + cosine, standardised": {"loss": ("mse", "cosine"), "standardize": True},
    "mse + patch": {"loss": ("mse", "patch")},
    "group norm": {"norm": "group"},
    "96 px": {"image_size": 96},
    "128 px": {"image_size": 128},
    "ema 0.99": {"ema": 0.99},
    "crops from 8 %": {"min_scale": 0.08},
    "strong views": {"augmentation": "strong"},
    "crops from 60 %": {"min_scale": 0.6},
    "avg of patches": {"embedding": "avg"},
    "no warm-up": {"warmup_share": 0.0},
    "batch norm before the head": {"head_norm": True},
    "batch norm before the head, standardised": {"head_norm": True, "standardize": True},
    "weight decay 0": {"weight_decay": 0.0},
    "weight decay 0.3": {"weight_decay": 0.3},
    "learning rate halved": {"lr": 1e-3},
    "64 to 96 px": {"first_image_size": 64, "image_size": 96},
}
VIEWS: dict[str, dict[str, object]] = {
    "1 view an image": {"views_per_image": 1},
    "2 views an image": {"views_per_image": 2},
    "4 views an image": {"views_per_image": 4},
    "fresh views": {"views_per_image": None},
}
"""They differ from each other after as many epochs as there are views, so they are run on few images: `--only`."""


@dataclass(frozen=True)
class Config:
    """One row a variant; one that has a row of this budget is left out: the command goes on where it was stopped."""

    teacher: tuple[str, ...]
    """As in `xdistill distill`."""
    images: tuple[str, ...]
    """As in `xdistill distill`."""
    bank: tuple[str, ...]
    """Labelled images in which neighbours are looked up."""
    queries: tuple[str, ...]
    """Labelled images that are classified."""
    transfer_bank: tuple[str, ...]
    """The same of another domain."""
    transfer_queries: tuple[str, ...]
    """The same of another domain."""
    csv: Path
    """Rows go here."""
    output: Path = Path("runs/ablation")
    """Runs go here, a folder a variant."""
    targets: str | None = None
    """Teacher cache for variants whose views and teacher it fits; the others run their teacher online."""
    only: tuple[str, ...] = ()
    """Names of the variants to run; none: all but those of views an image, which need several epochs."""
    steps: int = 400
    """Of each run."""
    batch_size: int = 128
    """Images a step."""
    image_size: int = 64
    """Side in px of the student's views where the variant does not set it."""
    score_image_size: int = 96
    """Side in px of the labelled images."""
    workers: int = 1
    """Processes that decode images."""


ONLINE = ("min_scale", "augmentation", "embedding", "seed", "views_per_image")
"""Settings that need targets of their own."""

BUDGET = ("settings", "steps", "batch_size", "images", "image_size_px", "score_image_size_px", "teacher")
"""Columns that say what a variant was given."""


def run_config(config: Config, name: str) -> train.Config:
    """The recipe's settings for one variant."""
    changes = (VARIANTS | VIEWS)[name]
    maps = "patch" in changes.get("loss", ())  # type: ignore[operator]
    targets = None if maps or any(setting in ONLINE for setting in changes) else config.targets
    base = replace(
        train.PRESETS["cpu"],
        teacher=config.teacher,
        images=config.images,
        targets=targets,
        output=config.output / name.replace(" ", "_").replace("%", "percent").replace(",", "").replace("+", "and"),
        first_image_size=None,
        image_size=config.image_size,
        batch_size=config.batch_size,
        max_steps=config.steps,
        epochs=10_000,
        workers=config.workers,
        name=name,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def run(config: Config) -> None:
    """Train and score what has no row yet; each row holds the command that repeats its variant alone."""
    for name in config.only:
        if name not in VARIANTS | VIEWS:
            raise ValueError(f"only: expected names among {', '.join(VARIANTS | VIEWS)}, got {name!r}")
    images = len(open_images(config.images))
    pairs = [(config.bank, config.queries), (config.transfer_bank, config.transfer_queries)]
    names = [Path(queries[0]).stem for _, queries in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"queries, transfer_queries: both are called {names[0]!r}, which names columns; rename one")
    labelled = [open_bank_and_queries(bank, queries) for bank, queries in pairs]
    scored = [f"{name}_knn{count}_percent" for name in names for count in NEIGHBORS]
    if config.csv.exists():  # before an hour of work
        check_columns(config.csv, ["variant", *scored, *BUDGET, "hours", "device", "command", "commit"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for name in config.only or VARIANTS:
        settings = run_config(config, name)
        budget: dict[str, object] = {"variant": name, "settings": json.dumps((VARIANTS | VIEWS)[name])}
        budget |= {"steps": config.steps, "batch_size": config.batch_size, "images": images}
        budget |= {"image_size_px": settings.image_size, "score_image_size_px": config.score_image_size}
        budget |= {"teacher": " ".join(map(teacher_name, config.teacher))}
        if config.csv.exists() and any(has(row, budget) for row in read_rows(config.csv)):
            continue
        print(f"== {name}")
        encoder = XDistillResNet18.from_pretrained(train.train(settings), norm=settings.norm).to(device)
        assert encoder.checkpoint
        row: dict[str, object] = {"variant": name}
        for (bank, queries), (_, files) in zip(labelled, pairs, strict=True):
            scores = score_features(encoder, bank, queries, config.score_image_size, device, workers=config.workers)
            neighbours = {score: value for score, value in scores.items() if score.startswith("knn")}
            row |= {f"{Path(files[0]).stem}_{score}": value for score, value in neighbours.items()}
        provenance = encoder.checkpoint.provenance
        row |= budget | {"hours": provenance["hours"]}
        done = describe_run()
        row |= {"device": provenance["device"], "command": f"{done['command']} {shlex.join(['--only', name])}"}
        append_row(config.csv, row | {"commit": provenance["commit"]})  # of what trained it, which may be older


def teacher_name(spec: str) -> str:
    """A folder by its own name, which its place does not change."""
    folder = Path(spec.removeprefix("local-dir:"))
    return folder.name if folder.exists() else spec


def has(row: Mapping[str, str], budget: Mapping[str, object]) -> bool:
    """Whether a row is that of a variant at a budget."""
    return all(row[key] == str(value) for key, value in budget.items())


def main() -> None:
    """Read the command line, run the variants."""
    keep_freed_memory()
    try:
        run(tyro.cli(Config, prog="python -m distillation.ablation", args=sys.argv[1:]))
    except (ValueError, OSError) as error:
        raise SystemExit(f"python -m distillation.ablation: {error}") from error


if __name__ == "__main__":
    main()
