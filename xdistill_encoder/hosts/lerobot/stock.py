"""The encoder's weights in a stock policy, whose checkpoints LeRobot loads without this package."""

# pyright: reportMissingImports=false

from pathlib import Path

from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

from xdistill_encoder.hosts.lerobot.backbones import (
    require_normalised_images,
    rgb_encoders,
    sequential_state,
)
from xdistill_encoder.model import XDistillResNet18


def use_encoder(policy: DiffusionPolicy | ACTPolicy, checkpoint: str | Path | None = None) -> None:
    """Load distilled weights into the ResNet-18 of a policy that LeRobot has built.

    Diffusion with `use_group_norm=True` takes group-norm weights, with False batch-norm weights whose statistics go on
    learning; ACT takes batch-norm weights into its frozen batch norm. Nothing else changes: LeRobot normalises (with
    ImageNet's statistics, its default for datasets), crops and pools as before.

    Args:
        policy: built from a config whose `pretrained_backbone_weights` is None.
        checkpoint: as in `XDistillResNet18.from_pretrained`; None: the bundled one for the policy's norm.

    Raises:
        ValueError: another policy or backbone, images that are not normalised by mean and std,
            `pretrained_backbone_weights` that LeRobot would download at every load, no checkpoint for the norm.
    """
    if not isinstance(policy, (DiffusionPolicy, ACTPolicy)):
        raise ValueError(f"policy: expected LeRobot's DiffusionPolicy or ACTPolicy, got {type(policy).__name__}")
    config = policy.config
    if config.vision_backbone != "resnet18":
        raise ValueError(f"vision_backbone: expected 'resnet18', got {config.vision_backbone!r}")
    if not config.image_features:
        raise ValueError("policy: it reads no images")
    if config.pretrained_backbone_weights is not None:
        raise ValueError(
            "pretrained_backbone_weights: expected None, because LeRobot downloads what it names whenever the policy "
            f"is built or loaded, got {config.pretrained_backbone_weights!r}; build the policy with None"
        )
    require_normalised_images(config.normalization_mapping)
    if isinstance(policy, ACTPolicy):
        trunk = XDistillResNet18.from_pretrained(checkpoint, norm="frozen").trunk
        policy.model.backbone.load_state_dict(trunk.state_dict(), strict=True)
        return
    norm = "group" if config.use_group_norm else "batch"
    state = sequential_state(XDistillResNet18.from_pretrained(checkpoint, norm=norm).trunk)
    for rgb_encoder in rgb_encoders(policy):
        rgb_encoder.backbone.load_state_dict(state, strict=True)
