"""Frozen vision transformers that give the embedding to imitate."""

import hashlib
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn


class Teacher(nn.Module):
    """A frozen timm transformer: images -> [CLS] embedding after the final norm.

    Args:
        model: a timm model with a class token.
        name: how results refer to it.
        image_size: side in px of the square images that it takes; None: that of its configuration.

    Attributes:
        image_size: side in px; feed it such images.
        num_features: width D of the embedding.

    Raises:
        ValueError: the model has no class token, or none that a final norm sees.
    """

    def __init__(self, model: nn.Module, name: str, image_size: int | None = None):
        super().__init__()
        if getattr(model, "cls_token", None) is None:
            raise ValueError(
                f"teacher {name}: {type(model).__name__} has no [CLS] token to distil; take a ViT that has one"
            )
        data_config = resolve_model_data_config(model)
        self.name = name
        self.image_size: int = image_size or data_config["input_size"][-1]
        if isinstance(getattr(model, "norm", None), nn.Identity):
            raise ValueError(
                f"teacher {name}: its [CLS] token passes no final norm, {type(model).__name__} pools the patches; "
                "take one that was trained with global_pool='token'"
            )
        self.model: Any = model.eval().requires_grad_(False)
        self.num_features: int = self.model.num_features
        mean, std = (torch.tensor(data_config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.mean: Tensor
        self.std: Tensor

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), uint8 in [0, 255] or float in [0, 1] -> (B, D) float32, the [CLS] embedding."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        tokens = self.model.forward_features((pixels - self.mean) / self.std)  # (B, 1 + N, D)
        return tokens[:, 0].float()

    @property
    def fingerprint(self) -> str:
        """Hash of the weights; the same wherever the files lie."""
        digest = hashlib.sha256()
        for key, value in sorted(self.model.state_dict().items()):
            digest.update(key.encode() + value.cpu().float().numpy().tobytes())
        return digest.hexdigest()[:16]

    def train(self, mode: bool = True) -> "Teacher":
        """Stays in eval mode."""
        return super().train(False)


def load_teacher(spec: str, image_size: int | None = None) -> Teacher:
    """Spec -> frozen teacher.

    Args:
        spec: "timm/<model>", weights from the hub that timm names; or "local-dir:<folder>", a folder with timm's
            config.json and weights.
        image_size: side in px of its input, for which timm resamples the position embedding; None: that of its
            configuration (518 px for DINOv2 in timm, whose training crops were 224 px).

    Raises:
        ValueError: unknown form, unknown model, or a folder without a model.
    """
    kind, _, rest = spec.replace("local-dir:", "local-dir/", 1).partition("/")
    if kind == "local-dir" and not (Path(rest) / "config.json").is_file():
        raise ValueError(f"teacher {spec!r}: {Path(rest).absolute()} has no config.json; give a folder saved by timm")
    if kind == "timm" and not timm.is_model(rest):
        close = timm.list_models(f"*{rest.split('.')[0]}*")[:5]
        raise ValueError(f"teacher {spec!r}: timm knows no such model; close: {', '.join(close) or 'none'}")
    if kind not in ("timm", "local-dir"):
        raise ValueError(f"teacher {spec!r}: expected 'timm/<model>' or 'local-dir:<folder>'")
    name = Path(rest).name if kind == "local-dir" else rest
    source = f"local-dir:{rest}" if kind == "local-dir" else rest
    resized: dict[str, Any] = {} if image_size is None else {"img_size": image_size}
    return Teacher(timm.create_model(source, pretrained=True, num_classes=0, **resized), name, image_size)
