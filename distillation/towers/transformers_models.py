"""Teachers of transformers: a folder as `save_pretrained` writes it -> tower."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distillation.towers.features import Features, tokens_to_map
from distillation.towers.preprocessing import Preprocessing, from_transformers


@dataclass(frozen=True)
class Architecture:
    """How transformers names the parts of an image model.

    Attributes:
        model: class of the model without a classifier.
        body: attribute of the class with a classifier that holds the model; None: there is no such class.
        has_cls: the first token is a [CLS] token.
        pooler: its average is `pooler_output`, a norm after the mean of the map.
        interpolate: position embeddings are resampled when asked for by an argument.
        post_norm: the final norm is applied to the [CLS] token alone, as CLIP does; here the patches get it too.
        flat_patches: takes patches in place of images, as SigLIP 2 NaFlex does.
    """

    model: str
    body: str | None
    has_cls: bool = True
    pooler: bool = False
    interpolate: bool = False
    post_norm: bool = False
    flat_patches: bool = False


CLIP = Architecture("CLIPVisionModel", "vision_model", interpolate=True, post_norm=True)
SIGLIP = Architecture("SiglipVisionModel", "vision_model", has_cls=False, interpolate=True)
SIGLIP2_NAFLEX = Architecture("Siglip2VisionModel", "vision_model", has_cls=False, flat_patches=True)
ARCHITECTURES = {
    "clip": CLIP,
    "clip_vision_model": CLIP,
    "convnext": Architecture("ConvNextModel", "convnext", has_cls=False, pooler=True),
    "convnextv2": Architecture("ConvNextV2Model", "convnextv2", has_cls=False, pooler=True),
    "dinov2": Architecture("Dinov2Model", "dinov2"),
    "dinov2_with_registers": Architecture("Dinov2WithRegistersModel", "dinov2_with_registers"),
    "dinov3_convnext": Architecture("DINOv3ConvNextModel", None, has_cls=False, pooler=True),
    "dinov3_vit": Architecture("DINOv3ViTModel", None),
    "siglip": SIGLIP,  # SigLIP 2 of a fixed resolution says so too
    "siglip_vision_model": SIGLIP,
    "siglip2": SIGLIP2_NAFLEX,
    "siglip2_vision_model": SIGLIP2_NAFLEX,
    "vit": Architecture("ViTModel", "vit", interpolate=True),
}
"""By `model_type` of config.json."""
CLASSIFIER = "ForImageClassification"


class TransformersTower(nn.Module):
    """An image model of transformers: normalised pixels -> features.

    Args:
        model: the model without a classifier.
        architecture: its entry in ARCHITECTURES.
        whole: the model with its classifier, None without one.

    Attributes:
        has_cls: whether there is a [CLS] token.
        cls_features, avg_features, patch_features: widths of the features.
    """

    def __init__(self, model: nn.Module, architecture: Architecture, whole: nn.Module | None):
        super().__init__()
        self.model: Any = model
        self.classifier = whole
        self.architecture = architecture
        config = self.model.config
        self.has_cls = architecture.has_cls
        registers = getattr(config, "num_register_tokens", 0)  # of DINOv2 with registers, DINOv3
        self.prefix_tokens = 1 + registers if architecture.has_cls or config.model_type == "dinov3_convnext" else 0
        width: int = config.hidden_sizes[-1] if architecture.pooler else config.hidden_size
        self.cls_features = self.avg_features = self.patch_features = width
        self.post_norm = (
            next(module for name, module in model.named_modules() if name.endswith("post_layernorm"))
            if architecture.post_norm
            else nn.Identity()
        )

    def forward(self, pixels: Tensor) -> Features:
        """(B, 3, H, W), normalised -> features."""
        outputs = self.model(*self._inputs(pixels), **self._options())
        hidden = outputs.last_hidden_state
        if hidden.ndim == 4:
            return Features(None, outputs.pooler_output, hidden)
        tokens = self.post_norm(hidden)
        patches = tokens[:, self.prefix_tokens :]
        average = outputs.pooler_output if self.architecture.pooler else patches.mean(dim=1)
        return Features(tokens[:, 0] if self.has_cls else None, average, tokens_to_map(patches, *pixels.shape[-2:]))

    def classify(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, K) logits, for a tower with a classifier."""
        assert self.classifier is not None
        return self.classifier(*self._inputs(pixels), **self._options()).logits

    def _options(self) -> dict[str, bool]:
        return {"interpolate_pos_encoding": True} if self.architecture.interpolate else {}

    def _inputs(self, pixels: Tensor) -> tuple[Tensor | None, ...]:
        """What the model takes: the pixels, or for NaFlex the patches, their mask, the grid of each image."""
        if not self.architecture.flat_patches:
            return (pixels,)
        side = self.model.config.patch_size
        batch, channels, height, width = pixels.shape
        rows, columns = height // side, width // side
        grid = pixels.reshape(batch, channels, rows, side, columns, side)
        patches = grid.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)  # (B, h * w, side * side * C)
        shapes = torch.tensor([[rows, columns]]).expand(batch, 2)  # on the CPU: the model reads it back
        return patches, None, shapes


def load_transformers_tower(
    folder: Path, config: dict[str, Any], image_size: int | None
) -> tuple[TransformersTower, Preprocessing]:
    """The model of a folder with its transform, for images of image_size px; None: of the image processor's size.

    Args:
        config: the entries of config.json.

    Raises:
        ValueError: transformers is not installed, an unknown architecture, no image processor, weights that are not
            all there, a size that the model cannot take.
    """
    try:
        import transformers
    except ImportError as error:
        raise ValueError(
            f"{folder}: a model of transformers, which is not installed: pip install 'transformers>=4.56'"
        ) from error
    kind = config.get("model_type", "")
    if kind not in ARCHITECTURES:
        raise ValueError(
            f"{folder}: expected a model_type of {', '.join(ARCHITECTURES)} in config.json, got {kind!r}; "
            "timm may have this model"
        )
    preprocessing = from_transformers(_image_processor(transformers, folder), image_size)
    architecture = ARCHITECTURES[kind]
    saved = (config.get("architectures") or [""])[0]
    classifies = saved.endswith(CLASSIFIER) and architecture.body is not None
    arguments: dict[str, Any] = {"add_pooling_layer": False} if kind == "vit" and not classifies else {}
    loaded, report = getattr(transformers, saved if classifies else architecture.model).from_pretrained(
        folder,
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
        **arguments,
    )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(f"{folder}: the weights lack {len(missing)} of the model's tensors, {missing[0]} among them")
    model = loaded.get_submodule(architecture.body) if classifies and architecture.body else loaded
    tower = TransformersTower(model, architecture, loaded if classifies else None)
    _check_size(preprocessing.image_size, tower.model.config)
    return tower, preprocessing


def _image_processor(transformers: Any, folder: Path) -> dict[str, Any]:
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise ValueError(
            f"{folder}: no preprocessor_config.json, which says the images' size and normalisation; "
            "save the model's image processor there: AutoImageProcessor.from_pretrained(...).save_pretrained(folder)"
        )
    processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return processor.to_dict()


def _check_size(image_size: int, config: Any) -> None:
    """Refuse a size that is no multiple of the patch; convnets take any."""
    patch = getattr(config, "patch_size", 1)
    if config.model_type not in ("convnext", "convnextv2", "dinov3_convnext") and image_size % patch:
        raise ValueError(f"image_size: expected a multiple of the patch size, {patch} px, got {image_size}")
