"""The encoder as Diffusion Policy's `rgb_model`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from xdistill_encoder import finetuning
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD, MIN_SIZE_PX, OVERSHOOT, per_channel
from xdistill_encoder.model import XDistillResNet18
from xdistill_encoder.norms import Norm, norm_layer

Pixels = Literal["minus_one_to_one", "minus_one_to_one_imagenet", "zero_to_one", "imagenet"]


class HostResNet18(ResNet):
    """torchvision's ResNet-18, children and keys included, for images in a host's range: (B, 3, H, W) -> (B, 512).

    A host that takes its children apart loses the conversion of the range; only "imagenet" needs none.

    Args:
        norm: "frozen" or "group".
        images: what reaches it: "minus_one_to_one", 2 p - 1 of pixels p in [0, 1]; "minus_one_to_one_imagenet", of
            which ImageNet's mean was subtracted and by whose standard deviation it was divided; "zero_to_one", p;
            "imagenet", p normalised with ImageNet's.

    Raises:
        ValueError: another norm or range; from `forward`, pixels outside it, of the first batch and of the first one
            after each change between training and evaluation, so that not every step waits for the device; never under
            torch.compile. A narrower range, such as [0, 1] where [-1, 1] was named, cannot be told from dull images.
    """

    def __init__(self, norm: Norm, images: Pixels):
        if norm not in ("frozen", "group"):
            raise ValueError(
                f"norm: expected 'frozen' or 'group', got {norm!r}; Diffusion Policy swaps live batch norm for fresh "
                "group norm, and its moving average does not follow live statistics"
            )
        if images not in get_args(Pixels):
            raise ValueError(f"images: expected one of {', '.join(get_args(Pixels))}, got {images!r}")
        super().__init__(BasicBlock, [2, 2, 2, 2], norm_layer=norm_layer(norm))
        self.add_module("fc", nn.Identity())
        self.images = images
        self.scale, self.shift, extremes = [], [], []
        for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True):
            factor, offset = {  # x = factor * p + offset of pixels p in [0, 1]
                "minus_one_to_one": (2, -1),
                "minus_one_to_one_imagenet": (2 / std, (-1 - mean) / std),
                "zero_to_one": (1, 0),
                "imagenet": (1 / std, -mean / std),
            }[images]
            self.scale.append(1 / (factor * std))
            self.shift.append((-offset / factor - mean) / std)
            extremes += [factor * -OVERSHOOT + offset, factor * (1 + OVERSHOOT) + offset]
        self._range = min(extremes), max(extremes)
        self._checked = False

    def train(self, mode: bool = True) -> "HostResNet18":
        """Train or eval mode; the next batch is looked at."""
        self._checked = False
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) floats in the host's range -> (B, 512)."""
        if x.shape[1] != 3 or min(x.shape[-2:]) < MIN_SIZE_PX:
            raise ValueError(
                f"images: expected (B, 3, H, W) of at least {MIN_SIZE_PX} px, got shape {tuple(x.shape)}; this encoder "
                "takes RGB"
            )
        if not self._checked and not torch.compiler.is_compiling():
            self._check(x)
        return super().forward(torch.addcmul(per_channel(self.shift, x), x, per_channel(self.scale, x)))

    def _check(self, x: Tensor) -> None:
        """Look at the first images that are more than one colour; hosts try shapes with zeros, normalised or not."""
        channels = x.detach().transpose(0, 1).flatten(1)
        if torch.equal(channels.amin(1), channels.amax(1)):
            return
        low, high = channels.amin().item(), channels.amax().item()
        if not self._range[0] <= low <= high <= self._range[1]:
            raise ValueError(
                f"images: {self.images!r} means values in [{self._range[0]:.2f}, {self._range[1]:.2f}], got "
                f"[{low:.2f}, {high:.2f}]; name the range that your configuration gives: {', '.join(get_args(Pixels))}"
            )
        self._checked = True


def resnet18(
    checkpoint: str | Path | None = None,
    norm: Norm = "frozen",
    images: Pixels = "minus_one_to_one",
    freeze: Sequence[str] = (),
) -> HostResNet18:
    """The `_target_` of Diffusion Policy's `rgb_model`.

    Args:
        checkpoint: as in `XDistillResNet18.from_pretrained`; None: the bundled one for the norm.
        norm: "frozen" or "group".
        images: see `HostResNet18`. Diffusion Policy's datasets give "minus_one_to_one"; with `imagenet_norm: True`
            in its image encoder, "minus_one_to_one_imagenet".
        freeze: stages that take no gradient: "stem", "layer1" to "layer4", "trunk" for all of them.

    Raises:
        ValueError: see `HostResNet18`; no such checkpoint, an unknown stage.
    """
    model = HostResNet18(norm, images)
    model.load_state_dict(XDistillResNet18.from_pretrained(checkpoint, norm=norm).trunk.state_dict(), strict=True)
    for stage in finetuning.named_stages(freeze, finetuning.TRUNK_STAGES) if freeze else ():
        for module in finetuning.stage_modules(model, None, stage):
            module.requires_grad_(False)
    return model
