"""Score an encoder's features on labelled images: `xdistill scorecard`."""

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import datasets
import torch
import tyro
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as tvf
from tqdm import tqdm

from distillation.datasets import load_table, rgb
from distillation.provenance import describe_run
from distillation.teachers import load_teacher
from xdistill_encoder import XDistillResNet18


@dataclass(frozen=True)
class Config:
    """One encoder, one labelled bank, one set of labelled queries."""

    bank: tuple[str, ...]
    """Labelled parquet files (columns `image`, `label`) in which neighbours are looked up."""
    queries: tuple[str, ...]
    """Labelled parquet files that are classified."""
    encoder: str | None = None
    """Bundled name, folder, Hub id, or "random" for an untrained ResNet-18; None: the default bundled checkpoint."""
    teacher: str | None = None
    """Score this teacher ("timm/<model>", "local-dir:<folder>") in place of an encoder."""
    image_size: int = 128
    """Side in px: shorter side to this length, then a centre crop. A teacher takes its own size."""
    neighbors: int = 10
    """k: the k nearest in cosine similarity vote."""
    batch_size: int = 64
    """Images a forward pass."""
    workers: int = 2
    """Processes that decode images."""
    csv: Path | None = None
    """Append the scores as a row to this file."""


class LabelledImages(Dataset):
    """(image (3, size, size) uint8, label) of a table with columns `image`, `label`."""

    def __init__(self, table: datasets.Dataset, size_px: int):
        if "label" not in table.column_names:
            raise ValueError(f"a score needs a column 'label', got columns {', '.join(table.column_names)}")
        self.table = table
        self.size_px = size_px

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = tvf.resize(rgb(self.table[row]["image"]), [self.size_px], antialias=True)
        return tvf.center_crop(image, [self.size_px, self.size_px]), self.table[row]["label"]


@torch.inference_mode()
def embed(
    features: Callable[[Tensor], Tensor], images: LabelledImages, config: Config, device: torch.device
) -> tuple[Tensor, Tensor]:
    """All images -> (N, D) float32 features, (N,) labels."""
    loader = DataLoader(images, batch_size=config.batch_size, num_workers=config.workers)
    outputs, labels = [], []
    for batch, batch_labels in tqdm(loader, unit="batch", leave=False):
        outputs.append(features(batch.to(device)).float().cpu())
        labels.append(batch_labels)
    return torch.cat(outputs), torch.cat(labels)


def knn_accuracy(
    bank: Tensor, bank_labels: Tensor, queries: Tensor, query_labels: Tensor, neighbors: int, temperature: float = 0.07
) -> float:
    """Share in [0, 1] of queries that their nearest bank rows label rightly.

    Features are (N, D), labels (N,). The k neighbours of highest cosine similarity vote with weight
    exp(similarity / temperature), as in DINO (arXiv 2104.14294, section 4.1).

    Raises:
        ValueError: neighbors is below 1 or above the size of the bank.
    """
    if not 1 <= neighbors <= len(bank):
        raise ValueError(f"neighbors: expected 1 to {len(bank)}, the size of the bank, got {neighbors}")
    similarity = F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T
    nearest, rows = similarity.topk(neighbors, dim=1)
    votes = torch.zeros(len(queries), int(bank_labels.max()) + 1)
    votes.scatter_add_(1, bank_labels[rows], (nearest / temperature).exp())
    return (votes.argmax(dim=1) == query_labels).float().mean().item()


def score(config: Config) -> dict[str, object]:
    """Scores of one encoder with what they were measured on.

    Raises:
        ValueError: wrong settings, images without labels, or an unusable checkpoint or teacher.
    """
    if config.encoder and config.teacher:
        raise ValueError("encoder, teacher: one of the two is scored, got both")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.teacher:
        model = load_teacher(config.teacher).to(device)
        name, size_px = model.name, model.image_size
    else:
        model = load_encoder(config.encoder).to(device)
        name, size_px = model.checkpoint.name if model.checkpoint else "random", config.image_size
    tables = [LabelledImages(load_table(files), size_px) for files in (config.bank, config.queries)]
    (bank, bank_labels), (queries, query_labels) = (embed(model, table, config, device) for table in tables)
    accuracy = knn_accuracy(bank, bank_labels, queries, query_labels, config.neighbors)
    return {
        "encoder": name,
        "queries": " ".join(Path(file).stem for file in config.queries),
        "image_size_px": size_px,
        f"knn{config.neighbors}_percent": round(100 * accuracy, 2),
        "bank_images": len(bank),
        "query_images": len(queries),
    }


def load_encoder(spec: str | None) -> XDistillResNet18:
    """A checkpoint in eval mode, or an untrained encoder for "random"."""
    if spec == "random":
        torch.manual_seed(0)
        return XDistillResNet18().eval()
    return XDistillResNet18.from_pretrained(spec)


def append_row(path: Path, row: dict[str, object]) -> None:
    """Add a row to a CSV file with the same columns; raises ValueError where they differ."""
    exists = path.exists()
    if exists:
        with path.open(newline="") as file:
            columns = next(csv.reader(file), [])
        if columns != list(row):
            raise ValueError(f"csv: {path} has columns {columns}, the row has {list(row)}; give another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if not exists:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Read the command line, print the scores as JSON."""
    config = tyro.cli(Config, prog="xdistill scorecard", args=sys.argv[1:])
    try:
        row = score(config)
        print(json.dumps(row, indent=2))
        if config.csv:
            run = describe_run()
            append_row(config.csv, row | {"command": run["command"], "commit": run["commit"]})
    except ValueError as error:
        raise SystemExit(f"xdistill scorecard: {error}") from error


if __name__ == "__main__":
    main()
