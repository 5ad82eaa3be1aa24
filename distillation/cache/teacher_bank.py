"""Several teachers that embed as one."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from distillation.cache.views import RenderSize
from distillation.teachers import Teacher
from distillation.training.precision import autocast


class TeacherBank:
    """Several teachers as one that gives all embeddings side by side.

    Args:
        teachers: on `device`.
        device: where they run.
        precision: "bf16", "fp16" or "no".
        patch_grid: side of the grid to which the first teacher's patch tokens are pooled; None: leave them out.
    """

    def __init__(self, teachers: Sequence[Teacher], device: torch.device, precision: str, patch_grid: int | None):
        self.teachers = tuple(teachers)
        self.device = device
        self.precision = precision
        self.patch_grid = patch_grid
        wanted: list[RenderSize] = [(each.image_size, each.preprocessing.interpolation) for each in teachers]
        self.sizes = tuple(dict.fromkeys(wanted))  # teachers with equal input share one rendering
        self._rendering = [self.sizes.index(size) for size in wanted]

    @torch.inference_mode()
    def embed(self, rendered: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """A (B, 3, S, S) uint8 for each of `sizes` -> (B, D) and (B, P * g * g) or None; on the device, not awaited."""
        embeddings, patches = [], None
        on_device = [images.to(self.device, non_blocking=True) for images in rendered]
        with autocast(self.device, self.precision):
            for number, teacher in enumerate(self.teachers):
                images = on_device[self._rendering[number]]
                if number == 0 and self.patch_grid is not None:
                    embedding, tokens = teacher.embed(images)
                    patches = F.adaptive_avg_pool2d(tokens.float(), self.patch_grid).flatten(1)
                else:
                    embedding = teacher(images)
                embeddings.append(embedding.float())
        return torch.cat(embeddings, dim=1), patches
