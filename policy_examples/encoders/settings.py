"""Which norms and readouts a policy's encoder can have."""

from collections.abc import Sequence
from typing import Literal

PolicyNorm = Literal["frozen", "group", "batch"]
Readout = Literal["pooled", "spatial_softmax", "teacher_embedding"]


def require_norm(name: str, norm: str | None, allow_batch_norm: bool) -> None:
    """Refuse a norm that the averaged policy cannot have; raises ValueError.

    Args:
        allow_batch_norm: accept "batch" all the same, for a run that shows what it does.
    """
    if norm == "batch" and not allow_batch_norm:
        raise ValueError(
            f"norm: accepted for {name} are 'frozen' and 'group', got 'batch'. The averaged copy that is evaluated has "
            "no part in updating batch statistics, so that it would run with the wrong ones."
        )
    if norm not in (None, "frozen", "group", "batch"):
        raise ValueError(f"norm: accepted for {name} are 'frozen' and 'group', got {norm!r}.")


def require_no_norm(name: str, norm: str | None) -> None:
    """Refuse any norm of an encoder that comes with its own layers; raises ValueError."""
    if norm is not None:
        raise ValueError(f"norm: {name} comes with its own layers, got {norm!r}; leave it out.")


def require_readout(name: str, readout: str, accepted: Sequence[str]) -> None:
    """Refuse a readout that the encoder does not have; raises ValueError."""
    if readout not in accepted:
        listed = " and ".join(map(repr, accepted))
        raise ValueError(f"readout: {name} has {listed}, got {readout!r}; choose one that it has.")


def require_no_checkpoint(name: str, checkpoint: str | None) -> None:
    """Refuse a checkpoint of an encoder that starts from random weights; raises ValueError."""
    if checkpoint is not None:
        raise ValueError(f"checkpoint: {name} starts from random weights, got {checkpoint!r}; leave it out.")


def require_no_size(name: str, image_size_px: int | None) -> None:
    """Refuse an image size of an encoder that reads no images; raises ValueError."""
    if image_size_px is not None:
        raise ValueError(f"image_size_px: {name} reads no images, got {image_size_px}; leave it out.")
