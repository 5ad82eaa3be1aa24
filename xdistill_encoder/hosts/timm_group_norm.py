"""timm's ResNet-18 with the encoder's group norm, under the name that its folders ask for."""

from typing import Any

import torch
from torch import nn

from xdistill_encoder.hosts.needs import require_host
from xdistill_encoder.hosts.timm import GROUP_NORM_ARCHITECTURE, INSTALL
from xdistill_encoder.norms import CHANNELS_PER_GROUP

require_host("timm", INSTALL)

from timm.models import register_model  # noqa: E402
from timm.models.resnet import BasicBlock, ResNet, build_model_with_cfg  # noqa: E402


def group_norm_of_timm(
    num_channels: int, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> nn.GroupNorm:
    """Group norm with 16 channels per group; timm's own "groupnorm" has 32 groups at every width."""
    return nn.GroupNorm(num_channels // CHANNELS_PER_GROUP, num_channels, device=device, dtype=dtype)


@register_model
def xdistill_resnet18_gn(pretrained: bool = False, **options: Any) -> ResNet:
    """ResNet-18 with 16 channels per group; options are timm's."""
    arguments = {"block": BasicBlock, "layers": (2, 2, 2, 2), "norm_layer": group_norm_of_timm}
    model = build_model_with_cfg(ResNet, GROUP_NORM_ARCHITECTURE, pretrained, **{**arguments, **options})
    assert isinstance(model, nn.Module)
    return model  # type: ignore[return-value]
