"""Networks of torchvision and timm: images -> features."""

from typing import Any

import torchvision
from torch import Tensor, nn

from policy_examples.encoders.pixels import PixelInput, Preparation
from xdistill_encoder import readouts
from xdistill_encoder.images import ImageNormalizer
from xdistill_encoder.norms import norm_layer

RESNETS = ("resnet34", "resnet50")
TIMM = "timm/"


class BackboneReadout(nn.Module):
    """A backbone with the vector that a policy reads from it; its keys are those that a distillation writes.

    Args:
        architecture: "resnet34", "resnet50" of torchvision, or "timm/<model>".
        norm: of a ResNet, None of a timm model.
        teacher_features: width of a student's linear layer to its teacher's width, which the readout
            "teacher_embedding" alone has.
        readout: "pooled", the backbone's own pooling; "spatial_softmax"; "teacher_embedding".

    Attributes:
        patch_px: side of a transformer's patches, 1 of a convnet.

    Raises:
        ValueError: an unknown architecture, or one with batch norm of its own.
    """

    def __init__(self, architecture: str, norm: str | None, teacher_features: int | None, readout: str) -> None:
        super().__init__()
        self.architecture = architecture
        self.readout = readout
        self.pixels: nn.Module = ImageNormalizer()
        if architecture in RESNETS:
            resnet = getattr(torchvision.models, architecture)(norm_layer=norm_layer(norm))  # type: ignore[arg-type]
            pooled = mapped = resnet.fc.in_features
            resnet.add_module("fc", nn.Identity())
            self.trunk: Any = resnet
        else:
            self.trunk = timm_trunk(architecture)
            pooled, mapped = self.trunk.head_hidden_size, self.trunk.num_features
        self.patch_px = patch_size(self.trunk)
        self.num_features: int = 2 * mapped if readout == "spatial_softmax" else pooled
        if readout == "spatial_softmax":
            for name, module in self.trunk.named_children():
                if name in ("head", "fc_norm", "attn_pool"):  # of the pooled features, which a map does not pass
                    module.requires_grad_(False)
        self.teacher_head = None
        if readout == "teacher_embedding":
            assert teacher_features is not None
            self.teacher_head = nn.Linear(pooled, teacher_features)
            self.num_features = teacher_features

    def prepare(self, preparation: Preparation) -> None:
        """From here on images become squares, prepared so; until then they are read as they come."""
        self.pixels = PixelInput(preparation)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), uint8 in [0, 255] or float in [0, 1] -> (B, num_features)."""
        pixels = self.pixels(images)
        outputs = self._resnet_map(pixels) if self.architecture in RESNETS else self.trunk.forward_features(pixels)
        if self.readout == "spatial_softmax":
            return readouts.spatial_softmax(self._as_map(outputs, pixels))
        pooled = (
            readouts.pool(outputs)
            if self.architecture in RESNETS
            else self.trunk.forward_head(outputs, pre_logits=True)
        )
        return pooled if self.teacher_head is None else self.teacher_head(pooled)

    def _resnet_map(self, pixels: Tensor) -> Tensor:
        trunk = self.trunk
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(pixels))))
        return trunk.layer4(trunk.layer3(trunk.layer2(trunk.layer1(x))))

    def _as_map(self, outputs: Tensor, pixels: Tensor) -> Tensor:
        """What a timm model's `forward_features` gives -> (B, C, h, w), without the tokens that are no patches."""
        if outputs.ndim == 4:
            return outputs.movedim(-1, 1) if getattr(self.trunk, "output_fmt", "NCHW") == "NHWC" else outputs
        patches = outputs[:, self.trunk.num_prefix_tokens :]
        height, width = (side // self.patch_px for side in pixels.shape[-2:])
        return patches.transpose(1, 2).unflatten(2, (height, width))


def timm_trunk(architecture: str) -> nn.Module:
    """A timm model of random weights without its classifier; a ViT resamples its positions to the images' size.

    Nothing is dropped at random: training resumes exactly, and all frames of a window go through the same network.
    """
    import timm
    from timm.layers import DropPath
    from timm.models import get_pretrained_cfg

    model = architecture.removeprefix(TIMM)
    if not architecture.startswith(TIMM) or not timm.is_model(model):
        raise ValueError(
            f"architecture: expected {', '.join(RESNETS)} or timm/<model>, got {architecture!r}; "
            "a newer timm may know it"
        )
    registered = get_pretrained_cfg(model.split(".")[0])
    sized: dict[str, Any] = {"dynamic_img_size": True} if registered is not None and registered.fixed_input_size else {}
    try:
        trunk = timm.create_model(model, pretrained=False, num_classes=0, drop_rate=0.0, **sized)
    except TypeError as error:
        raise ValueError(
            f"architecture: {architecture} takes images of one size alone; take a ViT, Swin or a convnet."
        ) from error
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in trunk.modules()):
        raise ValueError(
            f"architecture: {architecture} has batch norm, whose statistics the averaged policy that is evaluated "
            "would not have; take a model with layer or group norm."
        )
    for layer in trunk.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.p = 0.0
        elif isinstance(layer, DropPath):
            layer.drop_prob = 0.0
    return trunk


def patch_size(trunk: nn.Module) -> int:
    """Side in px of a transformer's patches, of which its images are multiples; 1 of a convnet."""
    from timm.layers import PatchEmbed

    embed: Any = getattr(trunk, "patch_embed", None)
    return int(embed.patch_size[0]) if isinstance(embed, PatchEmbed) else 1
