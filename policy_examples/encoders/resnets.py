"""ResNet-18: distilled by X-Distill, from scratch, supervised on ImageNet."""

from typing import Any

import torch
from torch import Tensor, nn

from policy_examples.encoders.pixels import PixelInput, Preparation
from policy_examples.encoders.policy_encoder import PolicyEncoder
from policy_examples.encoders.settings import require_no_checkpoint, require_norm, require_readout
from policy_examples.encoders.weights import Weights, find_weights
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.checkpoints import fill

IMAGENET = Weights("resnet18-imagenet", "timm/resnet18.tv_in1k")
"""torchvision's ResNet18_Weights.IMAGENET1K_V1 as safetensors, with torchvision's keys."""
IMAGENET_SIZE_PX = 224


class ResNetReadout(nn.Module):
    """A ResNet-18 with the vector that a policy reads from it.

    Args:
        resnet: built with `input_options(image_size_px)`; loses its teacher head where the readout needs none.
        readout: "pooled", the mean over the last map; "spatial_softmax", the expected position of each channel;
            "teacher_embedding", the linear layer to the teacher's width on top of the mean, which learns too.
        image_size_px: side of the square to which images are resized; None: they are read as they come.
    """

    def __init__(self, resnet: XDistillResNet18, readout: str, image_size_px: int | None) -> None:
        super().__init__()
        self.readout = readout
        self.pixels = None if image_size_px is None else PixelInput(Preparation(image_size_px, 1, "bilinear"))
        self.resnet = resnet
        self.num_features = resnet.num_features * (2 if readout == "spatial_softmax" else 1)
        if readout == "teacher_embedding":
            assert resnet.teacher_head is not None
            self.num_features = resnet.teacher_head.out_features
            resnet.unfreeze("teacher_head")
        else:
            resnet.teacher_head = None

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), uint8 in [0, 255] or float in [0, 1] -> (B, num_features)."""
        pixels = images if self.pixels is None else self.pixels(images)
        if self.readout == "spatial_softmax":
            return self.resnet.forward_spatial_softmax(pixels)
        return self.resnet.teacher_embedding(pixels) if self.readout == "teacher_embedding" else self.resnet(pixels)


def load_xdistill(
    checkpoint: str | None, norm: str | None, readout: str, image_size_px: int | None, allow_batch_norm: bool
) -> PolicyEncoder:
    """The distilled encoder, fed as its product feeds it: any size from 32 px, ImageNet mean and std.

    Args:
        norm: None is that of the checkpoint, with frozen statistics.

    Raises:
        ValueError: a norm or readout that it cannot have.
        xdistill_encoder.CheckpointError: the checkpoint cannot be had.
    """
    require_norm("xdistill", norm, allow_batch_norm)
    options = input_options(image_size_px)
    resnet = XDistillResNet18.from_pretrained(checkpoint, norm=norm, **options)  # type: ignore[arg-type]
    assert resnet.checkpoint is not None
    found = resnet.checkpoint
    return wrap("xdistill", resnet, readout, image_size_px, found.name, found.weights_sha256)


def load_scratch(
    checkpoint: str | None, norm: str | None, readout: str, image_size_px: int | None, allow_batch_norm: bool
) -> PolicyEncoder:
    """The same network from random weights, fed alike; group norm by default: there are no statistics to freeze.

    Raises:
        ValueError: a checkpoint, or a norm or readout that it cannot have.
    """
    require_no_checkpoint("resnet18-scratch", checkpoint)
    require_norm("resnet18-scratch", norm, allow_batch_norm)
    resnet = XDistillResNet18(norm or "group", **input_options(image_size_px))  # type: ignore[arg-type]
    return wrap("resnet18-scratch", resnet, readout, image_size_px, None)


def load_imagenet(
    checkpoint: str | None, norm: str | None, readout: str, image_size_px: int | None, allow_batch_norm: bool
) -> PolicyEncoder:
    """The same network with torchvision's supervised ImageNet weights, without the classifier.

    It was trained on 224 px squares, bilinear, ImageNet mean and std (torchvision's `ResNet18_Weights.IMAGENET1K_V1`),
    so frames become 224 px.

    Raises:
        ValueError: a norm or readout that it cannot have, weights that cannot be had.
    """
    require_norm("resnet18-imagenet", norm, allow_batch_norm)
    if norm == "group":
        raise ValueError(
            "norm: resnet18-imagenet was trained with batch norm, got 'group', which divides by other statistics; "
            "leave it out for 'frozen'."
        )
    require_readout("resnet18-imagenet", readout, ("pooled", "spatial_softmax"))
    size = IMAGENET_SIZE_PX if image_size_px is None else image_size_px
    resnet = XDistillResNet18(norm or "frozen", **input_options(size))  # type: ignore[arg-type]
    published, origin = find_weights(IMAGENET, checkpoint)
    tensors = {key: tensor for key, tensor in published.items() if not key.startswith("fc.")}
    uncounted = {key: torch.tensor(0) for key in resnet.trunk.state_dict() if key.endswith("num_batches_tracked")}
    fill(resnet.trunk, uncounted | tensors, origin)
    return wrap("resnet18-imagenet", resnet, readout, size, origin)


def empty_resnet(saved: dict[str, Any]) -> PolicyEncoder:
    """The architecture of one of the three, with random weights."""
    options = input_options(saved["image_size_px"])
    resnet = XDistillResNet18(saved["norm"], teacher_features=saved["teacher_features"], **options)
    made = (saved["origin"], saved.get("weights_sha256"))
    return wrap(saved["name"], resnet, saved["readout"], saved["image_size_px"], *made)


def input_options(image_size_px: int | None) -> dict[str, bool]:
    """Arguments of `XDistillResNet18` where `PixelInput` has resized, checked, normalised; none where nothing has."""
    return {} if image_size_px is None else {"inputs_normalized": True, "check_values": False}


def wrap(
    name: str,
    resnet: XDistillResNet18,
    readout: str,
    image_size_px: int | None,
    origin: str | None,
    weights_sha256: str | None = None,
) -> PolicyEncoder:
    """The policy's encoder around a ResNet-18; raises ValueError for a readout that it does not have."""
    head = resnet.teacher_head
    require_readout(name, readout, ("pooled", "spatial_softmax", *(("teacher_embedding",) if head is not None else ())))
    saved = {
        "name": name,
        "norm": resnet.norm,
        "readout": readout,
        "image_size_px": image_size_px,
        "teacher_features": head.out_features if head is not None and readout == "teacher_embedding" else None,
        "origin": origin,
        "weights_sha256": weights_sha256,
    }
    return PolicyEncoder(ResNetReadout(resnet, readout, image_size_px), "image", saved, image_size_px)
