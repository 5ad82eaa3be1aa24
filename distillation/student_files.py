"""A distilled student on the disk: folder with config.json and model.safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillation.ablation_encoders import AblationEncoder
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.checkpoint_config import ARCHITECTURE, CONFIG_FILE, read_config
from xdistill_encoder.checkpoint_weights import WEIGHTS_FILE, fill, read_weights, save_checkpoint

ENCODER_FOLDER = "encoder"
"""Of a run's folder: the student that it exports."""
REMEDY = "copy the whole folder again"


def save_student(
    encoder: XDistillResNet18 | AblationEncoder, folder: Path, name: str, provenance: dict[str, Any]
) -> Path:
    """Write an encoder in float16; returns the folder.

    A ResNet-18 becomes a folder for `XDistillResNet18.from_pretrained`, any other a folder of the same entries, with
    its backbone as `architecture`, for `load_student`.

    Raises:
        ValueError: provenance that JSON cannot hold, a weight that is not finite or beyond float16's range, a folder
            that holds another library's model.
    """
    tensors = encoder.state_dict()
    for key, value in tensors.items():
        if value.is_floating_point() and bool((value.half().isinf() & value.isfinite()).any()):
            raise ValueError(f"{key} reaches {value.abs().max().item():.4g}, float16 ends at 65504; lower the rates")
    if isinstance(encoder, XDistillResNet18):
        return encoder.save_pretrained(folder, name=name, provenance=provenance, half=True)
    return save_checkpoint(
        folder,
        tensors,
        name=name,
        norm=encoder.norm,
        teacher_features=encoder.teacher_head.out_features,
        provenance=provenance,
        half=True,
        architecture=encoder.backbone,
    )


def load_student(folder: str | Path) -> XDistillResNet18 | AblationEncoder:
    """The encoder of a folder that `Student.save` wrote, in eval mode: `encoder(images)` are its features,
    `encoder.teacher_embedding(images)` its estimate of the teacher's embedding.

    Raises:
        ValueError: no such folder, or one that is damaged or was written by something else, or by another version.
    """
    folder = Path(folder)
    config = read_config(folder / CONFIG_FILE, REMEDY, architecture=None)
    if config.architecture == ARCHITECTURE:
        return XDistillResNet18.from_pretrained(folder, norm=config.norm)
    encoder = AblationEncoder(config.architecture, config.norm, config.teacher_features or 0)
    fill(encoder, read_weights(folder / WEIGHTS_FILE, config, REMEDY), config.name)
    encoder.checkpoint = config
    return encoder.eval()


def is_exported(folder: Path, name: str, made: Mapping[str, Any]) -> bool:
    """Whether a folder holds a whole encoder of this name whose provenance has these entries.

    Args:
        made: what JSON can hold.
    """
    try:
        checkpoint = load_student(folder).checkpoint
    except ValueError:  # none there, or one whose writing was cut off
        return False
    if checkpoint is None or checkpoint.name != name:
        return False
    return all(checkpoint.provenance.get(key) == value for key, value in json.loads(json.dumps(made)).items())
