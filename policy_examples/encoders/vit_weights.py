"""The tensors of a vision transformer as transformers stores them -> as timm names them."""

from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional as F

RENAMED = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "encoder.layer": "blocks",
    "attention.attention.query": "attn.q",
    "attention.attention.key": "attn.k",
    "attention.attention.value": "attn.v",
    "attention.output.dense": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "layernorm_before": "norm1",  # ViT's names from here on, DINOv2 has timm's
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm": "norm",
}
"""Part of a transformers key -> part of a timm key; an earlier entry goes first."""
UNUSED = ("embeddings.mask_token", "mask_token")
"""DINOv2's stand-in for hidden patches, of its pretraining alone."""


def to_timm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under timm's names, query, key and value in one; tensors that have timm's names stay as they are."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if key in UNUSED:
            continue
        for theirs, ours in RENAMED.items():
            key = key.replace(theirs, ours)
        renamed[key] = tensor
    for key in [key for key in renamed if ".attn.q." in key]:
        parts = [key.replace(".attn.q.", f".attn.{part}.") for part in "qkv"]
        if all(part in renamed for part in parts):
            renamed[key.replace(".attn.q.", ".attn.qkv.")] = torch.cat([renamed.pop(part) for part in parts])
    return renamed


def resize_positions(tensors: dict[str, Tensor], grid: int) -> dict[str, Tensor]:
    """Resample "pos_embed" (1, 1 + n * n, C) to (1, 1 + grid * grid, C), bicubic in float32, as transformers does."""
    positions = tensors.get("pos_embed")
    if positions is None or positions.ndim != 3 or positions.shape[1] == 1 + grid * grid:
        return tensors
    side = isqrt(positions.shape[1] - 1)
    square = positions[:, 1:].float().transpose(1, 2).unflatten(2, (side, side))  # (1, C, n, n)
    resized = F.interpolate(square, (grid, grid), mode="bicubic", align_corners=False)
    return tensors | {"pos_embed": torch.cat([positions[:, :1].float(), resized.flatten(2).transpose(1, 2)], dim=1)}
