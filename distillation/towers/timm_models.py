"""Teachers of timm: a folder as timm saves it -> tower."""

from pathlib import Path
from typing import Any

import timm
from timm.data import resolve_data_config
from timm.layers import PatchEmbed
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from distillation.towers.features import Features, tokens_to_map
from distillation.towers.preprocessing import Preprocessing, from_timm


class TimmTower(nn.Module):
    """A timm model without its classifier: normalised pixels -> features.

    Args:
        model: a timm model; its classifier is taken off.

    Attributes:
        model: as timm creates it with num_classes=0.
        classifier: the linear layer to the classes, None without one. A layer whose bias is absent or 0 is none: CLIP's
            projection to the text's space, or one that nobody trained.
        has_cls: whether there is a [CLS] token that the final norm sees.
        cls_features, avg_features, patch_features: widths of the features.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model: Any = model
        last = self.model.get_classifier()
        trained = isinstance(last, nn.Linear) and last.bias is not None and bool(last.bias.any())
        self.classifier = last if trained else None
        self.model.reset_classifier(0)
        self.has_cls = (
            getattr(model, "cls_token", None) is not None
            and getattr(model, "num_prefix_tokens", 0) > 0
            and not isinstance(getattr(model, "norm", None), nn.Identity)  # such a model norms the pooled patches
        )
        self.cls_features: int = self.model.num_features
        self.patch_features: int = self.model.num_features
        self.avg_features: int = self.model.head_hidden_size

    def forward(self, pixels: Tensor) -> Features:
        """(B, 3, H, W), normalised -> features; the mean of the patches passes the model's norm for pooled ones."""
        outputs = self.model.forward_features(pixels)
        patches = patch_map(self.model, outputs, *pixels.shape[-2:])
        if outputs.ndim == 4:
            return Features(None, self.model.forward_head(outputs, pre_logits=True), patches)
        average = getattr(self.model, "fc_norm", nn.Identity())(patches.mean(dim=(-2, -1)))
        return Features(outputs[:, 0] if self.has_cls else None, average, patches)

    def classify(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, K) logits, for a tower with a classifier."""
        assert self.classifier is not None
        return self.classifier(self.model.forward_head(self.model.forward_features(pixels), pre_logits=True))


def patch_map(model: nn.Module, outputs: Tensor, height_px: int, width_px: int) -> Tensor:
    """What a timm model's `forward_features` gives for images of a size -> (B, C, h, w), without prefix tokens."""
    if outputs.ndim == 3:
        return tokens_to_map(outputs[:, getattr(model, "num_prefix_tokens", 0) :], height_px, width_px)
    return outputs.movedim(-1, 1) if getattr(model, "output_fmt", "NCHW") == "NHWC" else outputs


def patch_size(model: nn.Module) -> int:
    """Side in px of the patches of which a timm model's images are multiples; 1 of a convnet."""
    embed = getattr(model, "patch_embed", None)
    return int(embed.patch_size[0]) if isinstance(embed, PatchEmbed) else 1


def load_timm_tower(folder: Path, config: dict[str, Any], image_size: int | None) -> tuple[TimmTower, Preprocessing]:
    """The model of a folder with its transform, for images of image_size px; None: of the configuration's size.

    Position embeddings of a fixed size are resampled by timm, in float32, while the weights are loaded.

    Args:
        config: the entries of config.json.

    Raises:
        ValueError: an unknown architecture, weights that do not fit it, a size that the model cannot take.
    """
    architecture = config.get("architecture", "")
    if not timm.is_model(architecture):
        raise ValueError(f"config.json: timm knows no architecture {architecture!r}; upgrade timm, or take another")
    declared = config.get("pretrained_cfg", config)
    preprocessing = from_timm(resolve_data_config(pretrained_cfg=declared), image_size)
    registered = get_pretrained_cfg(architecture)
    fixed = declared.get("fixed_input_size", registered is not None and registered.fixed_input_size)
    sized: dict[str, Any] = {"img_size": preprocessing.image_size} if fixed else {}
    try:
        model = timm.create_model(f"local-dir:{folder}", pretrained=True, **sized)
    except (TypeError, AssertionError, RuntimeError) as error:
        raise ValueError(
            f"{folder}: its weights do not make a {architecture} for {preprocessing.image_size} px "
            f"({' '.join(str(error).split())[:300]})"
        ) from error
    patch = patch_size(model)
    if preprocessing.image_size % patch:
        raise ValueError(
            f"image_size: expected a multiple of the patch size, {patch} px, got {preprocessing.image_size}"
        )
    return TimmTower(model), preprocessing
