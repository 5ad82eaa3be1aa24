"""Whether a cache holds what the images and teachers of a run give."""

from collections.abc import Sequence

import numpy as np
import torch

from distillation.cache.shards import PARAMETERS
from distillation.cache.store import TargetCache
from distillation.cache.teacher_bank import TeacherBank
from distillation.cache.views import CacheViews
from distillation.sources.images import Images
from distillation.teachers import Teacher
from distillation.views import from_row

TOLERANCE = 0.05
"""Largest distance of a stored embedding from its recomputation in float32, as a share of the latter's norm.

Of 48 photographs and a ViT-Ti/16 (AugReg) at 224 px: float16 storage at most 0.0003, a bf16 forward pass 0.012 in the
median and 0.021 at most; bilinear in place of bicubic resizing 0.064 at least, a mirrored view 0.086, another view of
the image 0.23, another image 1.0.
"""


def verify(
    cache: TargetCache,
    images: Images,
    teachers: Sequence[Teacher] | None,
    *,
    device: torch.device,
    samples: int = 32,
) -> None:
    """Compute some rows, spread evenly over views and shards, again.

    The parameters of each view must be equal, its embeddings within `TOLERANCE`.

    Args:
        cache: whole; `require` has compared its facts.
        images: of which it should hold embeddings.
        teachers: on `device`, in the order of the facts; None: compare the views' parameters alone.
        samples: rows.

    Raises:
        ValueError: names the first row that differs.
    """
    count = cache.facts.images_count
    bank = TeacherBank([], device, "no", None) if teachers is None else TeacherBank(teachers, device, "no", None)
    views = CacheViews(images, cache.facts, bank.sizes)
    for position in np.linspace(0, cache.view_count * count, samples, endpoint=False).astype(int).tolist():
        number, index = divmod(position, count)
        item = views[number, index]
        row = f"view {number} of image {index} ({images.where(index)})"
        expected = from_row(dict(zip(PARAMETERS, item["parameters"].tolist(), strict=True))) if item["valid"] else None
        stored, embedding = cache.stored(number, index)
        if stored != expected:
            raise ValueError(
                f"targets: {row} was {stored or 'damaged'} when {cache.folder} was built, is {expected or 'damaged'}; "
                "the images or the augmentation are not those of the cache"
            )
        if teachers is None or expected is None:
            continue
        with torch.compiler.set_stance("force_eager"):  # a compiled teacher would compile again for one image
            computed, _ = bank.embed([rendered[None] for rendered in item["rendered"]])
        widths = [teacher.num_features for teacher in teachers]
        for teacher, was, now in zip(teachers, embedding.split(widths), computed[0].cpu().split(widths), strict=True):
            distance = float((was - now).norm() / now.norm())
            if not distance <= TOLERANCE:
                raise ValueError(
                    f"targets: {row}: the embedding in {cache.folder} is {distance:.3f} of its norm away from what "
                    f"{teacher.name} computes, and {TOLERANCE} is the most that rounding explains; compute the cache "
                    "again"
                )
