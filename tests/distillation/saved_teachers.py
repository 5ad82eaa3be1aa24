"""Teachers of real architecture with random weights, saved to folders by the library that made them."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models import save_for_hf
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as tvf


def randomize(model: nn.Module) -> Any:
    """Every parameter away from its initial constant, so that none can be forgotten unseen."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


def normalized(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    return (images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def smooth_image(height: int, width: int) -> Tensor:
    """(3, height, width) uint8 without noise, where resampling by Pillow and by torch agree to a grey level."""
    low = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(2))
    return (tvf.resize(low, [height, width], antialias=True).clamp(0, 1) * 255).to(torch.uint8)


def save_timm(folder: Path, architecture: str, **arguments: Any) -> tuple[str, Any]:
    """(the folder as timm saves a model of few layers, the model)."""
    model = randomize(timm.create_model(architecture, **arguments))
    side = arguments.get("img_size", 32)
    facts = {"num_classes": model.num_classes, "pretrained_cfg": {"input_size": [3, side, side], "crop_pct": 0.9}}
    save_for_hf(model, str(folder / architecture), facts, arguments, safe_serialization=True)
    return str(folder / architecture), model


def save_transformers(folder: Path, kind: str) -> tuple[str, Any, Any]:
    """model_type -> (the folder as transformers saves it, the model, the image processor)."""
    model, processor = transformers_models()[kind]()
    randomize(model).save_pretrained(folder / kind)
    processor.save_pretrained(folder / kind)
    return str(folder / kind), model, processor


def transformers_models() -> dict[str, Any]:
    """model_type -> () -> (model of few layers, image processor, images (2, 3, T, T) of the processor's size)."""
    t = pytest.importorskip("transformers")
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    pil = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]}
    crop = {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}, "resample": 3}
    square = {"size": {"height": 32, "width": 32}, "resample": 2}
    convnet = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
    vision = {**small, "image_size": 32, "patch_size": 8}
    return {
        "dinov2": lambda: (
            t.Dinov2Model(t.Dinov2Config(**small, image_size=70, patch_size=14)),
            t.BitImageProcessor(**crop, **pil),
        ),
        "dinov2_with_registers": lambda: (
            t.Dinov2WithRegistersModel(
                t.Dinov2WithRegistersConfig(**small, image_size=70, patch_size=14, num_register_tokens=3)
            ),
            t.BitImageProcessor(**crop, **pil),
        ),
        "dinov3_vit": lambda: (
            t.DINOv3ViTModel(t.DINOv3ViTConfig(**vision, num_register_tokens=2)),
            t.ViTImageProcessor(**square, **pil),
        ),
        "clip": lambda: (
            t.CLIPModel(t.CLIPConfig(text_config={**small, "vocab_size": 50}, vision_config=vision, projection_dim=8)),
            t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, **pil),
        ),
        "siglip": lambda: (
            t.SiglipModel(t.SiglipConfig(text_config={**small, "vocab_size": 50}, vision_config=vision)),
            t.SiglipImageProcessor(**square, **pil),
        ),
        "siglip2": lambda: (
            t.Siglip2VisionModel(t.Siglip2VisionConfig(**small, patch_size=8, num_patches=16)),
            t.Siglip2ImageProcessor(patch_size=8, max_num_patches=16, **pil),
        ),
        "vit": lambda: (
            t.ViTModel(t.ViTConfig(**vision), add_pooling_layer=False),
            t.ViTImageProcessor(**square, **pil),
        ),
        "convnext": lambda: (
            t.ConvNextModel(t.ConvNextConfig(**convnet)),
            t.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=8 / 9, resample=3, **pil),
        ),
        "dinov3_convnext": lambda: (
            t.DINOv3ConvNextModel(t.DINOv3ConvNextConfig(**convnet)),
            t.ViTImageProcessor(size={"height": 64, "width": 64}, **pil),
        ),
    }
