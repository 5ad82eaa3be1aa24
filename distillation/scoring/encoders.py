"""Anything that turns images into features, as the scorecard takes it."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms.v2 import functional as tvf

from distillation.student_files import load_student
from distillation.teachers import Teacher
from xdistill_encoder import XDistillResNet18, bundled_checkpoints
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD

UNTRAINED = "random"
USUAL_SIZE_PX = 224
"""Where neither the command nor the encoder's provenance names a size."""


@dataclass(frozen=True)
class CentreView:
    """(3, H, W) uint8 -> the square in its middle, (3, size_px, size_px) uint8: what a score is measured on."""

    size_px: int
    interpolation: str = "bilinear"

    def __call__(self, image: Tensor) -> Tensor:
        """The shorter side to `size_px` with antialiasing, then a centre crop."""
        mode = tvf.InterpolationMode(self.interpolation)
        resized = tvf.resize(image, [self.size_px], interpolation=mode, antialias=True)
        return tvf.center_crop(resized, [self.size_px, self.size_px])


@dataclass(frozen=True)
class Encoder:
    """One network under test.

    Attributes:
        name: how results refer to it.
        features: (B, 3, S, S) uint8 -> (B, D), in eval mode.
        prepare: (3, H, W) uint8 -> (3, S, S) uint8.
        image_size_px: S.
        teacher_head: (B, D) features -> (B, ΣD), the estimate of its teachers' embeddings; None without one.
        weights_sha256: checksum of a checkpoint's weights; None for what is no checkpoint of ours.
        teachers: what a checkpoint's provenance records of its teachers, as `TeacherFacts` names it; empty: nothing.
    """

    name: str
    features: nn.Module
    prepare: Callable[[Tensor], Tensor]
    image_size_px: int
    teacher_head: nn.Linear | None = None
    weights_sha256: str | None = None
    teachers: tuple[dict[str, Any], ...] = ()


class Normalized(nn.Module):
    """A network of another library behind the images that ours take.

    Args:
        model: normalised (B, 3, H, W) -> (B, D).
        mean, std: of its normalisation, on pixels in [0, 1].
    """

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), uint8 in [0, 255] or float in [0, 1] -> (B, D)."""
        return self.model(self.normalize(images))

    def normalize(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), uint8 in [0, 255] or float in [0, 1] -> (B, 3, H, W) float, as the model was trained."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return (pixels - self.mean) / self.std


def load_encoder(spec: str | None, image_size_px: int | None = None) -> Encoder:
    """Spec -> encoder in eval mode, on the CPU.

    Args:
        spec: a bundled name, a folder of `XDistillResNet18` or of an ablation student, or a Hub id; None, the default
            bundled checkpoint; "random", an untrained ResNet-18; "timm/<model>" or "torchvision/<model>[:<weights>]",
            by default with the weights that the library recommends, with ":random" untrained.
        image_size_px: side of its images. None: that of the views a student was distilled from, else the usual 224, or
            for timm that of the model's configuration. A vision transformer of fixed size takes its own.

    Raises:
        ValueError: unknown model or weights, or an unusable checkpoint.
    """
    library, _, model = (spec or "").partition("/")
    if library == "torchvision":
        return _from_torchvision(*_split(model), image_size_px)
    if library == "timm":
        return _from_timm(*_split(model), image_size_px)
    if spec == UNTRAINED:
        size_px = image_size_px or USUAL_SIZE_PX
        return Encoder(UNTRAINED, XDistillResNet18("batch").eval(), CentreView(size_px), size_px)
    if spec is not None and Path(spec).is_dir() and spec not in bundled_checkpoints():
        encoder = load_student(spec)
    else:
        encoder = XDistillResNet18.from_pretrained(spec)
    assert encoder.checkpoint is not None
    name, sha256 = encoder.checkpoint.name, encoder.checkpoint.weights_sha256
    size_px = image_size_px or _distilled_px(encoder.checkpoint.provenance) or USUAL_SIZE_PX
    teachers = _recorded_teachers(encoder.checkpoint.provenance)
    return Encoder(name, encoder, CentreView(size_px), size_px, encoder.teacher_head, sha256, teachers)


def _distilled_px(provenance: dict[str, Any]) -> int | None:
    """Side of the last views that a checkpoint learned from, where its provenance has it."""
    settings = provenance.get("settings")
    size_px = settings.get("image_size") if isinstance(settings, dict) else None
    return size_px if isinstance(size_px, int) else None


def _recorded_teachers(provenance: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """What a checkpoint's provenance has of each teacher; empty where it has nothing."""
    recorded = provenance.get("teachers")
    entries = recorded if isinstance(recorded, list) else []
    return tuple(entry for entry in entries if isinstance(entry, dict))


def teacher_as_encoder(teacher: Teacher) -> Encoder:
    """The teacher's embedding as features, on images prepared as for its own evaluation."""
    prepare = teacher.preprocessing.prepare  # not the bound method of the network, which workers would have to copy
    return Encoder(teacher.name, teacher, prepare, teacher.image_size)


def _split(model: str) -> tuple[str, str | None]:
    """ "<model>:<weights>" -> (model, weights), None where none are named."""
    name, colon, weights = model.partition(":")
    return name, weights if colon else None


def _from_torchvision(name: str, weights: str | None, image_size_px: int | None) -> Encoder:
    """What the last linear layer of a classifier reads."""
    if name not in models.list_models(module=models):
        raise ValueError(
            f"encoder: torchvision has no model {name!r}; {_close(name, models.list_models(module=models))}"
        )
    known = [entry.name for entry in models.get_model_weights(name)]
    if weights not in (None, "DEFAULT", UNTRAINED, *known):
        raise ValueError(
            f"encoder: torchvision/{name} has no weights {weights!r}; known are {', '.join(known)}, {UNTRAINED}"
        )
    chosen = None if weights == UNTRAINED else models.get_model_weights(name)[weights or "DEFAULT"]
    model = models.get_model(name).eval()
    if chosen is not None:
        _load_torchvision_weights(model, chosen)
    linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError(f"encoder: torchvision/{name} has no linear classifier whose input could be its features")
    model.set_submodule(linear[-1], nn.Identity())
    size_px = _fixed_px(model) or image_size_px or USUAL_SIZE_PX
    title = f"torchvision/{name}:{chosen.name if chosen else UNTRAINED}"
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if chosen is not None:  # a few of its weights learned from pixels that were normalised otherwise
        transform = chosen.transforms()
        mean, std = tuple(transform.mean), tuple(transform.std)
    return Encoder(title, Normalized(model, mean, std), CentreView(size_px), size_px)


def _fixed_px(model: nn.Module) -> int | None:
    """The only side of the images that a model of torchvision takes; None: it takes any."""
    if isinstance(model, models.VisionTransformer):
        return model.image_size
    return USUAL_SIZE_PX if isinstance(model, models.MaxVit) else None


def _load_torchvision_weights(model: nn.Module, weights: models.WeightsEnum) -> None:
    """Download and fill in; torchvision's own loader would run whatever code a pickled file asks for."""
    try:
        model.load_state_dict(weights.get_state_dict(progress=True, check_hash=True, weights_only=True))
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise ValueError(f"encoder: torchvision's weights {weights} cannot be downloaded or used: {error}") from error
    if isinstance(model, (models.GoogLeNet, models.Inception3)):
        model.transform_input = True  # these weights were trained on another normalisation


def _from_timm(name: str, weights: str | None, image_size_px: int | None) -> Encoder:
    """The pooled features that the classifier of a timm model reads."""
    if not timm.is_model(name):
        raise ValueError(f"encoder: timm has no model {name!r}; {_close(name, timm.list_models())}")
    if weights not in (None, UNTRAINED):
        raise ValueError(
            f"encoder: timm names weights with a dot, 'timm/{name}.<weights>', or ':{UNTRAINED}', got {weights!r}"
        )
    if weights is None and not timm.is_model_pretrained(name):
        raise ValueError(f"encoder: timm has no weights for {name!r}; 'timm/{name}:{UNTRAINED}' scores it untrained")
    try:
        model: Any = timm.create_model(name, pretrained=weights is None, num_classes=0).eval()
    except OSError as error:
        raise ValueError(f"encoder: the weights of timm/{name} cannot be downloaded: {error}") from error
    config = resolve_model_data_config(model)
    own_px = config["input_size"][-1]
    size_px = own_px if model.pretrained_cfg.get("fixed_input_size") else image_size_px or own_px
    tag = model.pretrained_cfg.get("tag")
    title = f"timm/{name}:{UNTRAINED}" if weights else f"timm/{name.split('.')[0]}{f'.{tag}' if tag else ''}"
    view = CentreView(size_px, config["interpolation"])
    return Encoder(title, Normalized(model, config["mean"], config["std"]), view, size_px)


def _close(name: str, known: list[str]) -> str:
    """Advice: models of similar name."""
    return f"close: {', '.join(get_close_matches(name, known, n=5)) or 'none'}"
