"""Finds the last spatial map of an encoder under comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any

from torch import Tensor, nn

from policy_examples.encoders import PolicyEncoder
from policy_examples.encoders.backbones import RESNETS, BackboneReadout
from policy_examples.encoders.resnets import ResNetReadout
from policy_examples.encoders.vits import VitReadout


@dataclass(frozen=True)
class SpatialMap:
    """Where in a network a map with positions can be read, for all its readouts alike."""

    layer: nn.Module
    """The module whose output it is."""
    as_map: Callable[[Tensor], Tensor]
    """That output, or its gradient, -> (B, C, h, w)."""


def last_map(encoder: PolicyEncoder) -> SpatialMap:
    """The map that Grad-CAM weighs.

    A convnet's is the output of its last stage. A vision transformer's is the patch tokens as the last block's
    attention reads them, after its first norm: where the policy reads [CLS], nothing behind that attention depends on
    the patches any more.

    Raises:
        ValueError: the encoder has none.
    """
    network: Any = encoder.network
    if isinstance(network, ResNetReadout):
        return SpatialMap(network.resnet.trunk.layer4, unchanged)
    if isinstance(network, VitReadout):
        return tokens_of(network.vit)
    if isinstance(network, BackboneReadout):
        if network.architecture in RESNETS:
            return SpatialMap(network.trunk.layer4, unchanged)
        return timm_map(network.trunk, network.architecture)
    raise ValueError(
        f"methods: {encoder.name} has no map over an image, which Grad-CAM weighs; explain a policy whose encoder "
        "reads pixels."
    )


def timm_map(trunk: Any, architecture: str) -> SpatialMap:
    """That of a timm model; raises ValueError for a kind whose maps are not known."""
    from timm.models.eva import Eva, EvaBlock
    from timm.models.vision_transformer import VisionTransformer

    if isinstance(trunk, VisionTransformer) or (isinstance(trunk, Eva) and isinstance(trunk.blocks[-1], EvaBlock)):
        return tokens_of(trunk)
    stages = dict(trunk.named_modules())
    info = getattr(trunk, "feature_info", None)
    name = info[-1]["module"] if isinstance(info, list) and info else None
    if name not in stages or getattr(trunk, "num_prefix_tokens", None) is not None:  # a block of tokens is no map
        raise ValueError(
            f"methods: which layer of {architecture} holds its last map is not known, so that Grad-CAM cannot weigh "
            "it; use --methods input-gradient."
        )
    channels_last = getattr(trunk, "output_fmt", "NCHW") == "NHWC"
    return SpatialMap(stages[name], channels_first if channels_last else unchanged)


def tokens_of(vit: Any) -> SpatialMap:
    """The patch tokens of a timm vision transformer before its last attention."""
    return SpatialMap(vit.blocks[-1].norm1, lambda tokens: patches_as_map(tokens, vit.num_prefix_tokens))


def patches_as_map(tokens: Tensor, prefix: int) -> Tensor:
    """(B, prefix + n * n, C) -> (B, C, n, n), without the tokens that are no patches."""
    patches = tokens[:, prefix:]
    side = isqrt(patches.shape[1])
    return patches.transpose(1, 2).unflatten(2, (side, side))


def unchanged(outputs: Tensor) -> Tensor:
    """(B, C, h, w) as it is."""
    return outputs


def channels_first(outputs: Tensor) -> Tensor:
    """(B, h, w, C) -> (B, C, h, w)."""
    return outputs.movedim(-1, 1)
