"""Frozen image models that give the embedding to imitate."""

import hashlib
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from distillation.towers.files import find_teacher
from distillation.towers.preprocessing import Preprocessing
from distillation.towers.timm_models import TimmTower, load_timm_tower
from distillation.towers.transformers_models import TransformersTower, load_transformers_tower
from distillation.views import Interpolation

Embedding = Literal["cls", "avg"]


class Teacher(nn.Module):
    """A frozen image model: images -> embedding. Methods that take images want image_size px squares, RGB, uint8 in
    [0, 255] or float in [0, 1]; the normalisation is inside.

    Args:
        tower: the network.
        preprocessing: how it wants its images.
        name: how results refer to it.
        embedding: "cls", the [CLS] token after the final norm, as in the paper; "avg", the mean of the patch tokens
            after the final norm (of a convnet: the norm of the map's mean).
        revision: the commit that the weights are of, None of a folder.

    Attributes:
        num_features: width D of the embedding.
        num_patch_features: width P of the patches.
        image_size, interpolation: of `preprocessing`, see there.

    Raises:
        ValueError: an unknown embedding, or "cls" of a model that has none.
    """

    def __init__(
        self,
        tower: TimmTower | TransformersTower,
        preprocessing: Preprocessing,
        name: str,
        embedding: Embedding = "cls",
        revision: str | None = None,
    ):
        super().__init__()
        if embedding not in get_args(Embedding):
            raise ValueError(f"embedding: expected one of {', '.join(get_args(Embedding))}, got {embedding!r}")
        if embedding == "cls" and not tower.has_cls:
            raise ValueError(
                f"teacher {name}: {type(tower.model).__name__} has no [CLS] token that a final norm sees; "
                "its embeddings are: avg"
            )
        self.name = name
        self.revision = revision
        self.embedding = embedding
        self.preprocessing = preprocessing
        self.image_size = preprocessing.image_size
        self.interpolation: Interpolation = preprocessing.interpolation
        self.tower = tower.eval().requires_grad_(False)
        self.num_features = tower.cls_features if embedding == "cls" else tower.avg_features
        self.num_patch_features = tower.patch_features
        for key, value in {"mean": preprocessing.mean, "std": preprocessing.std}.items():
            self.register_buffer(key, torch.tensor(value).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor, with_map: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, T, T) -> (B, D) float32, the embedding; with_map: beside it (B, P, h, w) float32, the patches."""
        features = self.tower(self._pixels(images))
        embedding = (features.cls if self.embedding == "cls" else features.avg).float()
        return (embedding, features.patches.float()) if with_map else embedding

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, T, T) -> (B, D) embedding, (B, P, h, w) patch tokens of the same forward pass, float32."""
        return self(images, with_map=True)

    @property
    def has_classifier(self) -> bool:
        """Whether the weights came with a layer that names classes."""
        return self.tower.classifier is not None

    @torch.no_grad()
    def classify(self, images: Tensor) -> Tensor:
        """(B, 3, T, T) -> (B, K) float32 logits of the teacher's own classifier, whatever the embedding.

        Raises:
            ValueError: it has none.
        """
        if not self.has_classifier:
            raise ValueError(f"teacher {self.name}: its weights have no classifier; ask has_classifier first")
        return self.tower.classify(self._pixels(images)).float()

    @property
    def size_note(self) -> str | None:
        """A line for people where its images are of another size than its configuration's; None where they are not."""
        configured_px = self.preprocessing.configured_px
        if self.image_size == configured_px:
            return None
        return (
            f"teacher {self.name}: its images have {self.image_size} px, its configuration says {configured_px} px; "
            "--teacher-image-size None takes that"
        )

    @property
    def fingerprint(self) -> str:
        """Hash of the weights without the classifier; the same wherever the files lie, whichever embedding is read.

        Of a timm model it hashes the names too. transformers renames tensors between releases, so there the tensors
        count alone.
        """
        digest = hashlib.sha256()
        state = sorted(self.tower.model.state_dict().items())
        if isinstance(self.tower, TimmTower):
            for key, value in state:
                digest.update(key.encode() + value.cpu().float().numpy().tobytes())
        else:
            for part in sorted(hashlib.sha256(value.cpu().float().numpy().tobytes()).digest() for _, value in state):
                digest.update(part)
        return digest.hexdigest()[:16]

    def train(self, mode: bool = True) -> "Teacher":
        """Stays in eval mode."""
        return super().train(False)

    def _pixels(self, images: Tensor) -> Tensor:
        scale = 1 / self.std
        if images.dtype != torch.uint8:
            return (images.float() - self.mean) * scale
        return images.float().mul_(scale / 255).sub_(self.mean * scale)  # in place: a pass less through the memory


def load_teacher(spec: str, image_size: int | None = None, embedding: Embedding = "cls") -> Teacher:
    """Spec -> frozen teacher.

    Args:
        spec: "timm/<model>", the weights that timm publishes on the Hub; "hf/<org>/<name>", a repository with a model
            of transformers or timm; either with "@<branch, tag or commit>"; or a folder that one of the two saved.
        image_size: side in px of its images, to which position embeddings are resampled; None: that of its
            configuration (of DINOv2: 518 px in timm, 224 px in transformers, which was the size of its training crops).
        embedding: "cls" or "avg", see `Teacher`.

    Raises:
        ValueError: an unknown form, model or embedding, a folder without a model, pickled weights, a size that the
            model cannot take.
        OSError: the Hub cannot be reached, or refuses access.
    """
    files = find_teacher(spec)
    load = load_timm_tower if "architecture" in files.config else load_transformers_tower
    try:
        tower, preprocessing = load(files.folder, files.config, image_size)
    except ValueError as error:
        raise ValueError(f"teacher {spec!r}: {error}") from error
    return Teacher(tower, preprocessing, files.name, embedding, files.revision)
