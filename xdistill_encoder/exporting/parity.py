"""How far an exported graph is from PyTorch, and the report that says so."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Graph = Callable[[Tensor], Sequence[Tensor]]
"""(B, 3, H, W) uint8 -> the outputs of a readout."""
BOUNDS = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.15}
"""Largest accepted relative error of an image, by precision."""


@dataclass(frozen=True)
class Parity:
    """The exported graph beside PyTorch's float32, over the compared images.

    Attributes:
        relative_error: the worst image's: norm of the difference over norm of PyTorch's output.
        cosine: the worst image's cosine similarity.
        images: how many were compared.
        exported_ms, torch_ms: median time of a batch of one on this CPU.
    """

    relative_error: float
    cosine: float
    images: int
    exported_ms: float
    torch_ms: float

    def require(self, precision: str, bound: float) -> None:
        """Raise a ValueError where the error is above the bound, or no number."""
        if not self.relative_error <= bound:
            raise ValueError(
                f"parity: the exported graph is {self.relative_error:.3g} of the outputs' norm away from PyTorch, "
                f"more than the {bound:g} accepted for {precision}; nothing was written. "
                + ("Give --images like those of the robot, or take fp16." if precision == "int8" else "Report it.")
            )


def compare(exported: Graph, reference: Graph, batches: Sequence[Tensor]) -> Parity:
    """Run both over the batches, (B, 3, H, W) uint8 each; the first image's time is measured."""
    pairs = [pair for images in batches for pair in zip(exported(images), reference(images), strict=True)]
    first = batches[0][:1]
    times = median_ms(lambda: exported(first)), median_ms(lambda: reference(first))
    return parity_of(pairs, sum(map(len, batches)), *times)


def parity_of(pairs: Sequence[tuple[Tensor, Tensor]], images: int, exported_ms: float, torch_ms: float) -> Parity:
    """What outputs (B, ...) are beside PyTorch's, in pairs, the worst row of all."""
    errors, cosines = [], []
    for ours, theirs in pairs:
        found, expected = ours.flatten(1).double(), theirs.flatten(1).double()
        errors.append((found - expected).norm(dim=1) / expected.norm(dim=1))
        cosines.append(torch.cosine_similarity(found, expected, dim=1))
    return Parity(torch.cat(errors).max().item(), torch.cat(cosines).min().item(), images, exported_ms, torch_ms)


def put_in_place(made: Path, file: Path, facts: dict[str, Any], parity: Parity) -> None:
    """Move a file that was made in a folder of its own to its place, with its report, `<file>.json`."""
    report = made.with_name("report")
    report.write_text(json.dumps(facts | {"parity": asdict(parity)}, indent=2) + "\n")
    made.replace(file)
    report.replace(file.with_name(file.name + ".json"))


def median_ms(call: Callable[[], object], *, warm_up: int = 3, budget_ms: float = 300) -> float:
    """Median time of a call: as many as the budget holds, five at least."""
    times: list[float] = []
    while len(times) < warm_up + 5 or sum(times) < budget_ms:
        began = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times[warm_up:])
