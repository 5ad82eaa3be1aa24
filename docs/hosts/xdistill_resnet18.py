"""The encoder as Diffusion Policy's `rgb_model` where this package cannot be installed: one file to copy.

Needs torch, torchvision, safetensors, from Python 3.8 and torch 1.12 on, and the folder of a checkpoint.
"""

import os

import torch
from safetensors.torch import load_file
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.ops import FrozenBatchNorm2d

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
RANGES = {  # x = factor * p + offset of pixels p in [0, 1]
    "minus_one_to_one": (2, -1),
    "minus_one_to_one_imagenet": (2 / STD, (-1 - MEAN) / STD),
    "zero_to_one": (1, 0),
    "imagenet": (1 / STD, -MEAN / STD),
}


class HostResNet18(ResNet):
    """torchvision's ResNet-18, children and keys included, for images in a host's range: (B, 3, H, W) -> (B, 512)."""

    def __init__(self, norm, images):
        layers = {"frozen": FrozenBatchNorm2d, "group": lambda width: torch.nn.GroupNorm(width // 16, width)}
        if norm not in layers:
            raise ValueError(f"norm: expected one of {', '.join(layers)}, got {norm!r}")
        if images not in RANGES:
            raise ValueError(f"images: expected one of {', '.join(RANGES)}, got {images!r}")
        super().__init__(BasicBlock, [2, 2, 2, 2], norm_layer=layers[norm])
        self.fc = torch.nn.Identity()
        factor, offset = RANGES[images]
        self.register_buffer("scale", 1 / (factor * STD), persistent=False)
        self.register_buffer("shift", (-offset / factor - MEAN) / STD, persistent=False)

    def forward(self, x):
        if x.shape[1] != 3 or min(x.shape[-2:]) < 32:
            raise ValueError(
                f"images: expected (B, 3, H, W) of at least 32 px, got shape {tuple(x.shape)}; this encoder takes RGB"
            )
        return super().forward(torch.addcmul(self.shift, x, self.scale))


def resnet18(folder, norm="frozen", images="minus_one_to_one", freeze=()):
    """The `_target_` of `rgb_model`.

    Args:
        folder: of a checkpoint: model.safetensors.
        norm: "frozen", whose scale and offset do not learn here, or "group", for weights that were trained with it.
        images: what reaches the model, of pixels p in [0, 1]: "minus_one_to_one", 2 p - 1;
            "minus_one_to_one_imagenet", that normalised with ImageNet's mean and standard deviation, which
            `imagenet_norm: True` does; "zero_to_one", p; "imagenet", p normalised.
        freeze: names of children that take no gradient: "conv1", "bn1", "layer1" to "layer4".
    """
    model = HostResNet18(norm, images)
    weights = load_file(os.path.join(folder, "model.safetensors"))
    trunk = {key[len("trunk.") :]: tensor.float() for key, tensor in weights.items() if key.startswith("trunk.")}
    model.load_state_dict(trunk, strict=True)
    unknown = [child for child in freeze if child not in dict(model.named_children())]
    if isinstance(freeze, str) or unknown:
        raise ValueError(f"freeze: expected a list of conv1, bn1, layer1 to layer4, got {freeze!r}")
    for child in freeze:
        getattr(model, child).requires_grad_(False)
    return model
