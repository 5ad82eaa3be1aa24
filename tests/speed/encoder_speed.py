"""Time the encoder beside torchvision's bare ResNet-18 and a DINOv2 ViT-S/14 without weights, on one machine.

    python tests/speed/encoder_speed.py

prints each comparison, then appends it to distillation/results/speed.csv. `peer` and `ours` are images per second of a
forward pass from uint8 images that lie on the device; `ratio` is ours / peer. The contenders take turns.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
import torch
import tyro
from bare_loops import autocast, seconds_a_call
from bench_rows import Row, append
from torch import Tensor, nn
from torchvision.models import resnet18

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.images import ImageNormalizer
from xdistill_encoder.norms import Norm

SCRIPT = "encoder_speed.py"
CSV = Path(__file__).resolve().parents[2] / "distillation" / "results" / "speed.csv"
VIT, VIT_PATCH_PX = "vit_small_patch14_dinov2", 14


@dataclass(frozen=True)
class Bench:
    """What is measured, for how long."""

    sizes_px: tuple[int, ...] = (96, 128, 224)
    """Sides of the images; the ViT gets the next multiple of 14."""
    batch_sizes: tuple[int, ...] = (1, 64)
    """Images of a forward pass."""
    precisions: tuple[Literal["no", "bf16"], ...] = ("no", "bf16")
    """Of all forward passes."""
    rounds: int = 5
    """Turns of each contender; the median counts."""
    seconds: float = 0.3
    """Length of a turn, about."""
    compile: bool = False
    """All networks through torch.compile."""
    csv: Path = CSV
    """File that rows are appended to."""


def compare(bench: Bench) -> Iterator[Row]:
    """Images per second of each norm beside the bare trunk, and of the encoder beside the ViT."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = torch.channels_last
    norms: tuple[Norm, ...] = ("frozen", "group")
    ours = {norm: XDistillResNet18(norm).eval().to(device).to(memory_format=layout) for norm in norms}
    bare = nn.Sequential(ImageNormalizer(), resnet18()).eval().to(device).to(memory_format=layout)
    for size_px in bench.sizes_px:
        vit_px = -(-size_px // VIT_PATCH_PX) * VIT_PATCH_PX
        vit = timm.create_model(VIT, img_size=vit_px, num_classes=0).eval().to(device)
        models: dict[str, Any] = {**ours, "bare": bare, "vit": nn.Sequential(ImageNormalizer(), vit)}
        if bench.compile:
            torch.compiler.reset()
            models = {name: torch.compile(model) for name, model in models.items()}
        for batch_size in bench.batch_sizes:
            for precision in bench.precisions:
                rates = measure(bench, models, size_px, vit_px, batch_size, precision, device)
                words = f"{size_px} px, batch {batch_size}, {'fp32' if precision == 'no' else precision}"
                words += ", compiled" * bench.compile
                for norm in norms:
                    yield Row(f"encoder, {norm} norm / bare torchvision ResNet-18; {words}", rates["bare"], rates[norm])
                beside = f"encoder, frozen norm / DINOv2 ViT-S/14 of {vit_px} px; {words}"
                yield Row(beside, rates["vit"], rates["frozen"])


def measure(
    bench: Bench,
    models: dict[str, Any],
    size_px: int,
    vit_px: int,
    batch_size: int,
    precision: str,
    device: torch.device,
) -> dict[str, float]:
    """Images per second of each model."""
    sizes = {name: vit_px if name == "vit" else size_px for name in models}
    images = {name: torch.randint(0, 256, (batch_size, 3, px, px), dtype=torch.uint8) for name, px in sizes.items()}
    calls = {name: forward(models[name], images[name].to(device), precision, device) for name in models}
    counts = {name: max(2, round(bench.seconds / seconds_a_call(call, device, 3))) for name, call in calls.items()}
    rates: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(bench.rounds):
        for name, call in calls.items():
            rates[name].append(batch_size / seconds_a_call(call, device, counts[name]))
    return {name: statistics.median(values) for name, values in rates.items()}


def forward(model: Any, images: Tensor, precision: str, device: torch.device) -> Callable[[], None]:
    """One forward pass on a batch."""
    images = images.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def call() -> None:
        with autocast(device, precision):
            model(images)

    return call


def main() -> None:
    """Read the command line; measure."""
    bench = tyro.cli(Bench, description=(__doc__ or "").partition("\n")[0])
    append(bench.csv, SCRIPT, compare(bench))


if __name__ == "__main__":
    main()
