"""Ablation students: the folder that a distillation wrote -> encoder."""

from pathlib import Path
from typing import Any

from policy_examples.encoders.backbones import RESNETS, BackboneReadout
from policy_examples.encoders.pixels import Preparation
from policy_examples.encoders.policy_encoder import PolicyEncoder
from policy_examples.encoders.settings import require_no_norm, require_norm, require_readout
from xdistill_encoder.checkpoint_config import ARCHITECTURE, CONFIG_FILE, CheckpointConfig, CheckpointError, read_config
from xdistill_encoder.checkpoint_weights import WEIGHTS_FILE, fill, read_weights

READOUTS = ("pooled", "spatial_softmax", "teacher_embedding")


def load_student(
    checkpoint: str | None, norm: str | None, readout: str, image_size_px: int | None, allow_batch_norm: bool
) -> PolicyEncoder:
    """A backbone of the ablation (ResNet-34, ResNet-50, or a timm model such as a ViT or ConvNeXt), distilled.

    It is fed as it was distilled: ImageNet mean and std; a convnet at any size; a transformer on squares of the size of
    its distillation, bilinear, to which its position embeddings belong.

    Raises:
        ValueError: no such folder, a damaged one, a norm, readout or size that the student cannot have.
    """
    if checkpoint is None:
        raise ValueError("checkpoint: student needs the folder that `xdistill distill` wrote, got None; name it.")
    folder = Path(checkpoint).expanduser()
    config = read_student_config(folder)
    saved = {
        "name": "student",
        "norm": policy_norm(config, norm, allow_batch_norm),
        "readout": readout,
        "image_size_px": image_size_px,
        "architecture": config.architecture,
        "teacher_features": config.teacher_features,
        "origin": config.name,
        "weights_sha256": config.weights_sha256,
    }
    network = build_network(saved)
    if image_size_px is None and network.patch_px > 1:
        saved["image_size_px"] = distillation_size(folder, config)
    tensors = read_weights(folder / WEIGHTS_FILE, config, "copy the whole folder again")
    if readout != "teacher_embedding":
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("teacher_head.")}
    fill(network, tensors, config.name)
    return wrap(network, saved)


def empty_student(saved: dict[str, Any]) -> PolicyEncoder:
    """The architecture of a student, with random weights."""
    return wrap(build_network(saved), saved)


def build_network(saved: dict[str, Any]) -> BackboneReadout:
    """A student's network before its images' size is known; raises ValueError for a readout that it does not have."""
    require_readout("student", saved["readout"], READOUTS if saved["teacher_features"] is not None else READOUTS[:2])
    return BackboneReadout(saved["architecture"], saved["norm"], saved["teacher_features"], saved["readout"])


def wrap(network: BackboneReadout, saved: dict[str, Any]) -> PolicyEncoder:
    """The policy's encoder around a student; raises ValueError for a size that is no multiple of its patch."""
    if saved["image_size_px"] is not None:
        network.prepare(Preparation(saved["image_size_px"], network.patch_px, "bilinear"))
    return PolicyEncoder(network, "image", saved, saved["image_size_px"])


def policy_norm(config: CheckpointConfig, norm: str | None, allow_batch_norm: bool) -> str | None:
    """The norm of the student inside a policy; None of a backbone that comes with its own layers."""
    if config.architecture not in RESNETS:
        require_no_norm(f"student {config.architecture}", norm)
        return None
    require_norm("student", norm, allow_batch_norm)
    distilled = "group" if config.norm == "group" else "frozen"
    if norm is not None and (norm == "group") != (distilled == "group"):
        raise ValueError(f"norm: {config.name} was distilled with {config.norm!r} norm, got {norm!r}; leave it out.")
    return norm or distilled


def distillation_size(folder: Path, config: CheckpointConfig) -> int:
    """Side in px of the views that a student was distilled on; raises ValueError where its provenance lacks it."""
    settings = config.provenance.get("settings")
    size = settings.get("image_size") if isinstance(settings, dict) else None
    if not isinstance(size, int):
        raise ValueError(f"image_size_px: {folder} does not say at which size it was distilled; name a size in px.")
    return size


def read_student_config(folder: Path) -> CheckpointConfig:
    """The entries of config.json; raises ValueError where a distillation of an ablation student did not write them."""
    try:
        config = read_config(folder / CONFIG_FILE, architecture=None)
    except CheckpointError as error:
        raise ValueError(f"checkpoint: {error}.") from error
    if config.architecture == ARCHITECTURE:
        raise ValueError(f"checkpoint: {folder} holds a ResNet-18; load it as encoder 'xdistill', not 'student'.")
    return config
