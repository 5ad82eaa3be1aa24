"""Students for comparison: ResNet-34, ResNet-50, models of timm."""

from typing import Any

import timm
import torchvision
from timm.layers import DropPath
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from distillation.towers.timm_models import patch_map, patch_size
from xdistill_encoder.checkpoints import CheckpointConfig
from xdistill_encoder.images import ImageNormalizer
from xdistill_encoder.norms import Norm, norm_layer

RESNETS = ("resnet34", "resnet50")
TIMM = "timm/"


class AblationEncoder(nn.Module):
    """A backbone of random weights behind the input contract of `XDistillResNet18`, with a linear layer on top.

    Methods take RGB images (B, 3, H, W), uint8 in [0, 255] or float in [0, 1].

    Args:
        backbone: "resnet34", "resnet50" of torchvision, or "timm/<model>"; a ViT takes every multiple of its patch.
        norm: "batch" or "group" of a ResNet; a timm backbone has its own and wants "batch".
        teacher_features: width D of the linear layer.

    Attributes:
        trunk: the backbone without its classifier.
        teacher_head: the linear layer num_features -> D.
        num_features, map_features: widths of `forward` and of the map.
        checkpoint: what `load_student` read of it, or None.

    Raises:
        ValueError: an unknown backbone, a norm that it does not come with.
    """

    def __init__(self, backbone: str, norm: Norm, teacher_features: int):
        super().__init__()
        self.backbone = backbone
        self.norm: Norm = norm
        self.normalizer = ImageNormalizer(check_values=False)
        if backbone in RESNETS:
            resnet = getattr(torchvision.models, backbone)(weights=None, norm_layer=norm_layer(norm))
            self.num_features = self.map_features = resnet.fc.in_features
            resnet.add_module("fc", nn.Identity())
            self.trunk: Any = resnet
        elif backbone.startswith(TIMM):
            self.trunk = _timm_trunk(backbone.removeprefix(TIMM), norm)
            self.num_features, self.map_features = self.trunk.head_hidden_size, self.trunk.num_features
        else:
            raise ValueError(f"backbone: expected resnet18, {', '.join(RESNETS)} or timm/<model>, got {backbone!r}")
        self.patch_px = patch_size(self.trunk)
        self.teacher_head = nn.Linear(self.num_features, teacher_features)
        self.checkpoint: CheckpointConfig | None = None

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, num_features), the pooled features."""
        return self.features_and_map(images)[0]

    def teacher_embedding(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, D), the estimate of the teacher's embedding."""
        return self.teacher_head(self(images))

    def features_and_map(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> (B, num_features), (B, map_features, h, w).

        Raises:
            ValueError: a side that is no multiple of a ViT's patch.
        """
        pixels = self.normalizer(images)
        height, width = pixels.shape[-2:]
        if height % self.patch_px or width % self.patch_px:
            raise ValueError(
                f"images: {self.backbone} takes sides that are multiples of {self.patch_px} px, "
                f"got {height} x {width}; choose such an image size"
            )
        trunk = self.trunk
        if self.backbone in RESNETS:
            x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(pixels))))
            x = trunk.layer4(trunk.layer3(trunk.layer2(trunk.layer1(x))))
            return x.mean(dim=(-2, -1)), x
        outputs = trunk.forward_features(pixels)
        return trunk.forward_head(outputs, pre_logits=True), patch_map(trunk, outputs, height, width)


def _timm_trunk(model: str, norm: Norm) -> nn.Module:
    """A timm model of random weights without classifier, for images of any size.

    Nothing is dropped at random: a student's pass is a function of its views, so that runs resume exactly.
    """
    if norm != "batch":
        raise ValueError(f"norm: timm/{model} comes with its own layers; leave norm at 'batch', got {norm!r}")
    if not timm.is_model(model):
        close = timm.list_models(f"{model.split('.')[0]}*")[:5]
        raise ValueError(f"backbone: timm knows no model {model!r}; close: {', '.join(close) or 'none'}")
    declared = get_pretrained_cfg(model.split(".")[0])
    fixed = declared is not None and declared.fixed_input_size
    sized: dict[str, Any] = {"dynamic_img_size": True} if fixed else {}
    try:
        trunk = timm.create_model(model, pretrained=False, num_classes=0, drop_rate=0.0, **sized)
    except TypeError as error:
        raise ValueError(
            f"backbone: timm/{model} takes images of one size alone; take a ViT or a convnet ({error})"
        ) from error
    for layer in trunk.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.p = 0.0
        elif isinstance(layer, DropPath):
            layer.drop_prob = 0.0
    return trunk
