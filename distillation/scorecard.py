"""Score an encoder's features on labelled images: `xdistill scorecard`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

from distillation.datasets import LabelledImages, open_labelled
from distillation.provenance import describe_run
from distillation.scoring.compared_teachers import check_head, load_compared
from distillation.scoring.corruptions import CORRUPTIONS
from distillation.scoring.embedding import CLEAN, PreparedImages, embed
from distillation.scoring.encoders import CentreView, Encoder, load_encoder, teacher_as_encoder
from distillation.scoring.feature_scores import (
    agreement_scores,
    knn_scores,
    percent,
    require_neighbours,
    robustness_scores,
    teacher_head_scores,
)
from distillation.scoring.labelled import open_bank_and_queries
from distillation.scoring.linear_probe import linear_probe_accuracy
from distillation.scoring.metrics import effective_rank
from distillation.scoring.plot import draw
from distillation.scoring.results_csv import append_row, check_columns, read_rows
from distillation.scoring.teacher_heads import embedding_classifier
from distillation.teachers import Embedding, Teacher, load_teacher
from distillation.training.loading import told
from distillation.training.runlog import write_text

COLUMNS = (
    "encoder",
    "queries",
    "image_size_px",
    "knn10_percent",
    "knn20_percent",
    "linear_probe_percent",
    "linear_probe_penalty",
    "effective_rank",
    *(f"knn10_{name}_percent" for name in CORRUPTIONS),
    "robustness_drop_points",
    "teacher",
    "teacher_cosine",
    "teacher_explained_variance",
    "teacher_explained_variance_standardized",
    "teacher_head_agreement_percent",
    "teacher_head_top1_percent",
    "bank_images",
    "query_images",
    "weights_sha256",
    "command",
    "commit",
)
"""What a row holds; empty where the encoder has no such thing."""


@dataclass(frozen=True)
class Config:
    """k-NN, linear probe, agreement with the teacher and robustness of an encoder, on labelled bank and queries."""

    queries: tuple[str, ...]
    """Labelled images that are classified: parquet (columns `image`, `label`), a folder with a sub-folder a class, or a
    Hub dataset id."""
    bank: tuple[str, ...] = ()
    """Labelled images in which neighbours are looked up, in the same form. None named: nothing is classified, only the
    agreement with the teacher is measured."""
    bank_split: str = "train"
    """Split of the bank, where it is a Hub dataset."""
    queries_split: str = "validation"
    """Split of the queries, where they are a Hub dataset."""
    encoder: str | None = None
    """Bundled name, folder, Hub id, "torchvision/<model>[:<weights>]", "timm/<model>" (":random" for an untrained one)
    or "random", an untrained ResNet-18. None: the teacher if one is given, else the default bundled checkpoint."""
    teacher: tuple[str, ...] = ()
    """The encoder's teachers in the order of its distillation ("timm/<model>", "hf/<org>/<name>", a folder), to compare
    with; without `encoder`, the one teacher that is scored itself."""
    teacher_image_size: int | None = None
    """Side in px of the teacher's images; None: that of the distillation, where the encoder says, else that of the
    teacher's configuration."""
    embedding: Embedding | None = None
    """Of the teacher: its [CLS] token, "cls", or the mean of its patch tokens, "avg". None: that of the distillation,
    where the encoder says, else [CLS]."""
    teacher_classes: tuple[int, ...] = ()
    """The class in the teacher's classifier that each label means; empty: labels are its classes if as many."""
    image_size: int | None = None
    """Side in px: shorter side to this length, then a centre crop. None: that of the views the encoder was distilled
    from, 224 where it does not say; give it where encoders are compared. A teacher or transformer takes its own."""
    batch_size: int = 64
    """Images a forward pass."""
    workers: int = 2
    """Processes that decode images."""
    seed: int = 0
    """Of untrained weights and of the noise on queries."""
    output: Path | None = None
    """Write the scores as JSON to this file."""
    csv: Path | None = None
    """Append the scores as a row to this file."""
    plot: Path | None = None
    """Draw the scores into this PNG."""
    beside: Path | None = None
    """Rows of this CSV file on the same queries are drawn beside them; None: those of `csv`."""

    def __post_init__(self):
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size: expected 1 or more, got {self.image_size}")
        for field, least in {"batch_size": 1, "workers": 0}.items():
            if getattr(self, field) < least:
                raise ValueError(f"{field}: expected {least} or more, got {getattr(self, field)}")
        if not self.bank and (self.encoder is None or not self.teacher):
            raise ValueError("bank: expected labelled images, or an --encoder and its --teacher to compare it with")
        if not self.bank and self.plot:
            raise ValueError("plot: what is drawn are neighbours in a bank; name one")


def score(config: Config, device: torch.device) -> dict[str, Any]:
    """Scores of one encoder with what they were measured on: COLUMNS but for command and commit.

    Raises:
        ValueError: wrong settings, images without labels or damaged ones, an unusable checkpoint or teacher.
    """
    torch.manual_seed(config.seed)
    encoder, teachers = open_encoder(config)
    bank, queries = open_scored(config)

    encoder.features.to(device)
    compared = {f"teacher{i}": teacher.to(device) for i, teacher in enumerate(teachers)}
    views = {name: CentreView(teacher.image_size, teacher.interpolation) for name, teacher in compared.items()}
    query_views = PreparedImages(queries, encoder.prepare, views, corruption_seed=config.seed if bank else None)
    networks = dict.fromkeys((CLEAN, *(CORRUPTIONS if bank else ())), encoder.features) | compared
    loading: dict[str, Any] = {"batch_size": config.batch_size, "workers": config.workers}
    asked = {k: v.to(device) for k, v in embed(networks, query_views, device, title="queries", **loading).items()}
    row = {
        "encoder": encoder.name,
        "queries": " ".join(source_name(source, config.queries_split) for source in config.queries),
        "image_size_px": encoder.image_size_px,
        "effective_rank": round(effective_rank(asked[CLEAN]), 2),
        **against_teachers(config, encoder, list(compared.values()), asked, queries),
        "query_images": len(queries),
        "weights_sha256": encoder.weights_sha256,
    }
    if bank:
        bank_views = PreparedImages(bank, encoder.prepare)
        known = embed({CLEAN: encoder.features}, bank_views, device, title="bank", **loading)[CLEAN]  # (N, D)
        row |= classified(known.to(device), bank, asked, queries) | {"bank_images": len(bank)}
    return row


def classified(
    known: Tensor, bank: LabelledImages, asked: dict[str, Tensor], queries: LabelledImages
) -> dict[str, object]:
    """How rightly labels of the queries follow from those of the bank: by neighbours, by a linear probe, and by
    neighbours of corrupted queries."""
    bank_labels, query_labels = (torch.from_numpy(images.labels).to(known.device) for images in (bank, queries))
    neighbours = knn_scores(known, bank_labels, asked[CLEAN], query_labels)
    probe, penalty = linear_probe_accuracy(known, bank_labels, asked[CLEAN], query_labels)
    return {
        **neighbours,
        "linear_probe_percent": percent(probe),
        "linear_probe_penalty": penalty,
        **robustness_scores(known, bank_labels, asked, query_labels, neighbours["knn10_percent"]),
    }


def open_encoder(config: Config) -> tuple[Encoder, list[Teacher]]:
    """The network that is scored, and the teachers that it is compared with.

    Raises:
        ValueError: see `load_encoder`, `load_compared`, `check_head`.
    """
    if config.encoder is None and config.teacher:
        spec, *others = config.teacher
        if others:
            raise ValueError(f"teacher: one is scored at a time, got {1 + len(others)}; name the --encoder to compare")
        return teacher_as_encoder(load_teacher(spec, config.teacher_image_size, config.embedding or "cls")), []
    encoder = load_encoder(config.encoder, config.image_size)
    if not config.teacher:
        return encoder, []
    teachers = load_compared(encoder, config.teacher, config.teacher_image_size, config.embedding)
    check_head(encoder, teachers)
    return encoder, teachers


@torch.inference_mode()
def against_teachers(
    config: Config, encoder: Encoder, teachers: Sequence[Teacher], asked: dict[str, Tensor], queries: LabelledImages
) -> dict[str, object]:
    """Agreement on images that are new to the student, which sees the same view as its teachers."""
    meaning = (queries.labels, queries.classes, config.teacher_classes)
    if isinstance(encoder.features, Teacher):
        classifier = embedding_classifier(encoder.features)
        return {**teacher_head_scores(classifier, asked[CLEAN], None, *meaning)} if classifier else {}
    if not teachers or encoder.teacher_head is None:
        return {}
    targets = [asked[f"teacher{i}"] for i in range(len(teachers))]
    estimates = encoder.teacher_head.to(asked[CLEAN].device)(asked[CLEAN]).split([t.num_features for t in teachers], 1)
    row: dict[str, object] = {"teacher": " ".join(teacher.name for teacher in teachers)}
    row |= agreement_scores(estimates, targets)
    for teacher, estimate, target in zip(teachers, estimates, targets, strict=True):
        classifier = embedding_classifier(teacher)
        if classifier is not None:  # of several teachers, the first that has one
            return row | teacher_head_scores(classifier, estimate, target, *meaning)
    return row


def source_name(source: str, split: str) -> str:
    """How results refer to images: a file without its ending, the end of a folder's path, a Hub id with its split."""
    path = Path(source)
    if path.is_dir():
        return "/".join(path.resolve().parts[-2:])
    return path.stem if path.exists() or glob(source) else f"{source}:{split}"


def open_scored(config: Config) -> tuple[LabelledImages | None, LabelledImages]:
    """The bank, None where there is none, and the queries.

    Raises:
        ValueError: see `open_bank_and_queries`; a bank that is too small.
    """
    if not config.bank:
        return None, open_labelled(config.queries, config.queries_split)
    bank, queries = open_bank_and_queries(config.bank, config.queries, config.bank_split, config.queries_split)
    require_neighbours(bank)
    return bank, queries


def check_csv(config: Config) -> None:
    """Raise a ValueError where the rows of `config.csv` have other columns."""
    if config.csv and config.csv.exists():
        check_columns(config.csv, list(COLUMNS))


def main() -> None:
    """Read the command line; print the scores as JSON, write the files that were asked for."""
    config = tyro.cli(Config, prog="xdistill scorecard", args=sys.argv[1:])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        check_csv(config)  # before an hour of work
        drawn_beside = read_rows(config.beside) if config.beside else []
        run = describe_run()
        row = dict.fromkeys(COLUMNS) | score(config, device) | {"command": run["command"], "commit": run["commit"]}
        print(json.dumps(row, indent=2))
        if config.csv:
            append_row(config.csv, row)
        if config.plot:
            draw(config.plot, row, drawn_beside or (read_rows(config.csv) if config.csv else []))
        if config.output:  # last: by it `xdistill release` sees that all is done
            config.output.parent.mkdir(parents=True, exist_ok=True)
            write_text(config.output, json.dumps(row, indent=2) + "\n")
    except (ValueError, OSError) as error:
        raise SystemExit(f"xdistill scorecard: {told(error)}") from error


if __name__ == "__main__":
    main()
