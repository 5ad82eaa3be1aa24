"""The image encoders under comparison: images (B, T, 3, H, W) -> (B, T, num_features)."""

from typing import Literal

from xdistill_encoder import XDistillResNet18

EncoderName = Literal["xdistill", "resnet18-scratch"]
PolicyNorm = Literal["frozen", "group"]

# Each encoder takes uint8 in [0, 255] or float in [0, 1], RGB, and normalises by itself as it was pretrained.
Encoder = XDistillResNet18


def load_encoder(name: EncoderName, checkpoint: str | None, norm: PolicyNorm | None) -> Encoder:
    """The encoder as fine-tuning starts from it.

    Args:
        checkpoint: for xdistill, a bundled name, a folder or a Hub id; None is the bundled default.
        norm: None is "frozen" for xdistill and "group" for resnet18-scratch, which has no statistics to freeze.

    Raises:
        ValueError: an unknown name, a checkpoint for the scratch encoder, a norm that an averaged policy cannot have.
        xdistill_encoder.CheckpointError: the checkpoint cannot be had.
    """
    _require_norm(norm)
    if name == "xdistill":
        encoder = XDistillResNet18.from_pretrained(checkpoint, norm=norm or "frozen")
        encoder.teacher_head = None  # a policy reads the pooled features
        return encoder
    if name != "resnet18-scratch":
        raise ValueError(f"encoder: accepted are 'xdistill' and 'resnet18-scratch', got {name!r}.")
    if checkpoint is not None:
        raise ValueError(f"checkpoint: resnet18-scratch starts from random weights, got {checkpoint!r}; leave it out.")
    return XDistillResNet18(norm=norm or "group")


def empty_encoder(norm: str) -> Encoder:
    """The encoder's architecture, for the weights of a saved policy."""
    return XDistillResNet18(norm=norm)  # type: ignore[arg-type]


def _require_norm(norm: str | None) -> None:
    if norm == "batch":
        raise ValueError(
            "norm: accepted are 'frozen' and 'group', got 'batch'. The averaged copy that is evaluated has no part "
            "in updating batch statistics, so that it would run with the wrong ones."
        )
    if norm not in (None, "frozen", "group"):
        raise ValueError(f"norm: accepted are 'frozen' and 'group', got {norm!r}.")
