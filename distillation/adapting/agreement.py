"""How near students come to their teachers on images without labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distillation.scoring.embedding import PreparedImages, embed
from distillation.scoring.encoders import CentreView
from distillation.scoring.feature_scores import agreement_scores
from distillation.teachers import Teacher
from xdistill_encoder import XDistillResNet18

PASSED_OVER_PX = 32
"""Side of the view that every item of `PreparedImages` has, which nothing reads here."""


@torch.inference_mode()
def measure(
    students: Mapping[str, XDistillResNet18],
    teachers: Sequence[Teacher],
    images: Any,
    size: int,
    device: torch.device,
    workers: int,
) -> tuple[dict[str, dict[str, float]], int]:
    """How near each student comes to the teachers' embeddings of images: the scorecard's agreement, by student, and on
    how many images.

    Images that cannot be read are left out, for all students alike: training has left out others like them.

    Raises:
        ValueError: fewer than two can be read.
    """
    networks: dict[str, nn.Module] = {name: Estimate(student).to(device) for name, student in students.items()}
    networks |= {f"teacher{i}": teacher.to(device) for i, teacher in enumerate(teachers)}
    views: dict[str, Any] = dict.fromkeys(students, CentreView(size))
    views |= {f"teacher{i}": CentreView(each.image_size, each.interpolation) for i, each in enumerate(teachers)}
    prepared = PreparedImages(images, CentreView(PASSED_OVER_PX), views)
    damaged: list[int] = []
    found = embed(networks, prepared, device, batch_size=64, workers=workers, title="measuring", damaged=damaged)
    readable = torch.ones(len(prepared), dtype=torch.bool)
    readable[damaged] = False
    if readable.sum() < 2:
        raise ValueError(
            f"images: {int(readable.sum())} of {len(prepared)} that were held out can be read; two must be"
        )
    if damaged:
        print(f"{len(damaged)} of {len(prepared)} images that were held out cannot be read, and are left out")
        found = {name: features[readable] for name, features in found.items()}
    widths = [teacher.num_features for teacher in teachers]
    expected = [found[f"teacher{i}"] for i in range(len(teachers))]
    scores = {name: agreement_scores(found[name].split(widths, dim=1), expected) for name in students}
    return scores, len(prepared) - len(damaged)


class Estimate(nn.Module):
    """An encoder as (B, 3, H, W) -> (B, D), its estimate of the teachers' embeddings."""

    def __init__(self, encoder: XDistillResNet18):
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder.teacher_embedding(images)
