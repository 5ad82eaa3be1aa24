"""Where LeRobot's policies keep their ResNet, and what goes there."""

# pyright: reportMissingImports=false

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import torch
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.transforms.v2.functional import resize

from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD
from xdistill_encoder.model import XDistillResNet18

CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
"""Of a ResNet, in the order of the Sequential that Diffusion Policy makes of them."""


def rgb_encoders(policy: DiffusionPolicy) -> Iterator[Any]:
    """The image encoders of a Diffusion Policy: one that all cameras share, or one a camera."""
    found: Any = policy.diffusion.rgb_encoder
    yield from found if isinstance(found, nn.ModuleList) else (found,)


def sequential_state(trunk: nn.Module) -> dict[str, Tensor]:
    """A ResNet's tensors under the names of that Sequential: "layer1.0.conv1.weight" -> "4.0.conv1.weight"."""
    renamed = {}
    for key, tensor in trunk.state_dict().items():
        child, _, rest = key.partition(".")
        renamed[f"{CHILDREN.index(child)}.{rest}"] = tensor
    return renamed


def place_in_diffusion(policy: DiffusionPolicy, encoder: XDistillResNet18) -> None:
    """Each image encoder gets a copy of the trunk for its backbone; pooling and projection stay LeRobot's."""
    for rgb_encoder in rgb_encoders(policy):
        trunk = deepcopy(encoder.trunk)
        rgb_encoder.backbone = nn.Sequential(*(trunk.get_submodule(child) for child in CHILDREN))


class ResizingGetter(IntermediateLayerGetter):
    """ACT's backbone, which scales frames first, as Diffusion Policy's `resize_shape` does.

    Args:
        trunk: the encoder's.
        size: (H, W) of the frames that it sees; None: as they come.
    """

    def __init__(self, trunk: nn.Module, size: tuple[int, int] | None) -> None:
        super().__init__(trunk, return_layers={"layer4": "feature_map"})
        self.size = size

    def forward(self, images: Tensor) -> Any:
        """(B, 3, H, W) normalised -> {"feature_map": (B, 512, h, w)}."""
        return super().forward(images if self.size is None else resize(images, list(self.size), antialias=True))


def place_in_act(policy: ACTPolicy, encoder: XDistillResNet18, size: tuple[int, int] | None) -> None:
    """The trunk becomes ACT's backbone, which all cameras share; see `ResizingGetter` for the size."""
    policy.model.backbone = ResizingGetter(encoder.trunk, size)


def require_normalised_images(mapping: dict[str, Any]) -> None:
    """Raise a ValueError for a `normalization_mapping` by which images are not normalised by mean and std."""
    mode = str(getattr(mapping.get("VISUAL"), "value", mapping.get("VISUAL")))
    if mode != "MEAN_STD":
        raise ValueError(f"normalization_mapping: the encoder needs VISUAL to be MEAN_STD, got {mode}")


def wrong_statistics(cameras: Sequence[str], dataset_stats: dict[str, dict[str, Any]] | None) -> str | None:
    """Why these statistics do not normalise the images of these keys with ImageNet's mean and std; None: they do.

    Args:
        dataset_stats: what LeRobot normalises with; None: unknown, about which nothing is said.
    """
    if dataset_stats is None:
        return None
    for camera in cameras:
        if camera not in dataset_stats:
            return (
                f"dataset_stats: expected those of {camera}, got {', '.join(dataset_stats) or 'none'}: LeRobot renames "
                "features by rename_map and not their statistics, so that images would stay as they are; rename the "
                "features of the data set"
            )
        for name, wanted in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            found = torch.as_tensor(dataset_stats[camera].get(name, [])).flatten().tolist()
            if len(found) != 3 or any(abs(a - b) > 1e-3 for a, b in zip(found, wanted, strict=True)):
                return (
                    f"dataset_stats: {camera} would be normalised with the {name} {found}, the encoder needs "
                    f"ImageNet's {list(wanted)}: train with --dataset.use_imagenet_stats=true, LeRobot's default"
                )
    return None
