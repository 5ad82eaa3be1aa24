"""Whether a cache holds what the images and teachers of a run give."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from distillation.cache.facts import Facts
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
        for teacher, distance in zip(teachers, distances(teachers, embedding, computed[0].cpu()), strict=True):
            if not distance <= TOLERANCE:
                raise ValueError(
                    f"targets: {row}: the embedding in {cache.folder} is {distance:.3f} of its norm away from what "
                    f"{teacher.name} computes, and {TOLERANCE} is the most that rounding explains; compute the cache "
                    "again"
                )


def require_exact(
    facts: Facts, images: Images, teachers: Sequence[Teacher], *, device: torch.device, samples: int = 8
) -> None:
    """See that the teachers compute in the cache's precision what they compute in float32, before hours are spent.

    Args:
        facts: of the cache that is to be built.
        teachers: on `device`, in the order of the facts.
        samples: images, of whose first views embeddings are compared.

    Raises:
        ValueError: an embedding is farther away than `verify` would accept.
    """
    if facts.precision in (None, "no"):
        return
    fast, exact = (TeacherBank(teachers, device, precision, None) for precision in (facts.precision, "no"))
    views = CacheViews(images, facts, exact.sizes)
    for index in np.linspace(0, facts.images_count, samples, endpoint=False).astype(int).tolist():
        item = views[0, index]
        if not item["valid"]:
            continue
        rendered = [each[None] for each in item["rendered"]]
        with torch.compiler.set_stance("force_eager"):
            was, now = fast.embed(rendered)[0][0].float().cpu(), exact.embed(rendered)[0][0].cpu()
        for teacher, distance in zip(teachers, distances(teachers, was, now), strict=True):
            if not distance <= TOLERANCE:
                raise ValueError(
                    f"targets: in {facts.precision} {teacher.name} embeds image {index} ({images.where(index)}) "
                    f"{distance:.3f} of its norm away from float32, more than {TOLERANCE}; --mixed-precision no"
                )


def distances(teachers: Sequence[Teacher], was: Tensor, now: Tensor) -> list[float]:
    """Of (D,) embeddings of all teachers, for each teacher: the distance as a share of the norm of `now`."""
    widths = [teacher.num_features for teacher in teachers]
    pairs = zip(was.split(widths), now.split(widths), strict=True)
    return [float((old - new).norm() / new.norm()) for old, new in pairs]
