"""What the student is to imitate: the teachers' embeddings of a batch, computed online or read from a cache."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from distillation.cache.facts import Facts, describe_teacher
from distillation.cache.repairs import require_nothing_repaired
from distillation.cache.store import TargetCache
from distillation.cache.verify import verify
from distillation.datasets import Images, Views
from distillation.teachers import Embedding, Teacher, load_teacher
from distillation.training.loading import stream
from distillation.views import Interpolation

ROWS_WITHOUT_TEACHER = 8
"""Rows whose views' parameters are compared where no teacher is loaded; each decodes an image."""


class OnlineTeachers:
    """Teachers that embed each batch.

    Args:
        teachers: on `device`.
        device: where batches go.
        maps: give the first teacher's patch tokens too.

    Attributes:
        facts: what the embeddings are a function of, teacher by teacher.
        widths: of each teacher's embeddings, which lie side by side.
        views_per_image: how many views of an image there are; None: any number.
        map_channels: P of the patch tokens that are given; None: none are.
        view_sizes: (side in px, interpolation) of the views that a batch has to hold.
    """

    def __init__(self, teachers: Sequence[Teacher], device: torch.device, maps: bool):
        self.teachers = teachers
        self.device = device
        self.maps = maps
        self.views_per_image = None
        self.facts = tuple(map(describe_teacher, teachers))
        self.name = "+".join(teacher.name for teacher in teachers)
        self.widths = tuple(teacher.num_features for teacher in teachers)
        self.map_channels = teachers[0].num_patch_features if maps else None
        sizes: list[tuple[int, Interpolation]] = [(teacher.image_size, teacher.interpolation) for teacher in teachers]
        self.view_sizes = tuple(sizes)

    def __call__(self, batch: Mapping[str, Tensor], view: int) -> tuple[Tensor, Tensor | None]:
        """A batch of `Views` and its view number -> (B, D) float32 and (B, P, h, w) or None."""
        embeddings, tokens = [], None
        for position, teacher in enumerate(self.teachers):
            images = batch[f"teacher{position}"].to(self.device, non_blocking=True)
            if self.maps and position == 0:
                embedding, tokens = teacher.embed(images)
            else:
                embedding = teacher(images)
            embeddings.append(embedding)
        return torch.cat(embeddings, dim=1), tokens


class CachedTeachers:
    """Embeddings that were computed before.

    Args:
        cache: of all views of the run.
        device: where they go.
        maps: give the patch tokens too.

    Attributes:
        teachers: those that run; none, but for those that somebody gives it to be compared with.
        facts, widths, views_per_image, map_channels, view_sizes: as of `OnlineTeachers`.
    """

    def __init__(self, cache: TargetCache, device: torch.device, maps: bool):
        self.cache = cache
        self.device = device
        self.maps = maps
        self.teachers: tuple[Teacher, ...] = ()
        self.view_sizes: tuple[tuple[int, Interpolation], ...] = ()
        self.facts = cache.facts.teachers
        self.views_per_image = cache.facts.views
        self.name = "+".join(teacher.name for teacher in cache.facts.teachers)
        self.widths = tuple(teacher.width or 0 for teacher in cache.facts.teachers)
        self.map_channels = cache.facts.patch_shape[0] if maps and cache.facts.patch_shape else None

    @classmethod
    def open(
        cls,
        place: str,
        wanted: Facts,
        images: Images,
        teachers: Sequence[Teacher],
        samples: int,
        device: torch.device,
        maps: bool,
        measured: bool = False,
    ) -> "CachedTeachers":
        """A cache after all checks: it is what is wanted, whole, and holds the images' views and what teachers compute.

        Args:
            place: a folder or a Hub dataset id.
            wanted: what the run's embeddings are a function of.
            teachers: recompute `samples` rows; without teachers the views' parameters alone are compared.
            samples: 0: a few rows.
            measured: only for measurements: nothing is written, and rows of the first shard stand for all
                (`TargetCache.sample`).

        Raises:
            ValueError: no cache there, another one, an incomplete or a damaged one, one that lacks an image which can
                be read, or one without the maps.
        """
        cache = TargetCache.open(place)
        cache.require(wanted)
        if measured:
            cache.sample()
        else:
            cache.map()
            if images.shards is None:  # else each look would fetch a shard
                require_nothing_repaired(cache, images)
        verify(cache, images, teachers or None, device=device, samples=samples or ROWS_WITHOUT_TEACHER)
        if maps and cache.facts.patch_shape is None:
            raise ValueError(f"loss: patch needs patch tokens, {place} has none; build it with --patch-grid")
        return cls(cache, device, maps)

    def __call__(self, batch: Mapping[str, Tensor], view: int) -> tuple[Tensor, Tensor | None]:
        """A batch of `Views` and its view number -> (B, D) float32 and (B, P, h, w) or None."""
        embeddings = self.cache.read(view, batch["index"]).to(self.device, non_blocking=True)
        tokens = self.cache.read_patches(view, batch["index"]).to(self.device) if self.maps else None
        return embeddings, tokens


Supervision = OnlineTeachers | CachedTeachers


def load_teachers(
    specs: Sequence[str], image_size: int | None, embedding: Embedding, compiled: bool, device: torch.device
) -> list[Teacher]:
    """Frozen teachers on their device; the arguments are those of `load_teacher`."""
    teachers = [load_teacher(spec, image_size, embedding).to(device) for spec in specs]
    for teacher in teachers:
        if compiled:
            teacher.compile()
    return teachers


def first_embeddings(
    supervision: Supervision, views: Views, images: np.ndarray, batch_size: int, workers: int
) -> Tensor:
    """(N,) images -> (N, D) embeddings of their first views, float32 on the CPU.

    The last image fills up the last batch, so that a compiled teacher never sees another size than `batch_size`.
    """
    missing = -len(images) % batch_size
    filled = np.concatenate([images, np.repeat(images[-1:], missing)])
    keys = [[(int(image), 0, 0) for image in batch] for batch in filled.reshape(-1, batch_size)]
    return torch.cat([supervision(batch, 0)[0].cpu() for batch in stream(views, keys, workers)])[: len(images)]


def first_views(views: Views, images: np.ndarray, size_px: int, workers: int) -> Tensor:
    """(N,) images -> (N, 3, size_px, size_px) uint8, their first views as a student gets them."""
    keys = [[(int(image), 0, size_px) for image in images[first : first + 64]] for first in range(0, len(images), 64)]
    return torch.cat([batch["student"] for batch in stream(views, keys, workers)])
