"""A distilled student on the disk: folder with config.json and model.safetensors."""

import hashlib
import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

import safetensors.torch

from distillation.ablation_encoders import AblationEncoder
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.checkpoint_config import CONFIG_FILE, FORMAT_VERSION, CheckpointConfig
from xdistill_encoder.checkpoint_weights import WEIGHTS_FILE
from xdistill_encoder.checkpoints import fill
from xdistill_encoder.norms import Norm


def save_student(
    encoder: XDistillResNet18 | AblationEncoder, folder: Path, name: str, provenance: dict[str, Any]
) -> Path:
    """Write an encoder in float16; returns the folder.

    A ResNet-18 becomes a folder for `XDistillResNet18.from_pretrained`, any other a folder of the same entries, with
    its backbone as `architecture`, for `load_student`.

    Raises:
        ValueError: provenance that JSON cannot hold, or a weight beyond float16's range.
    """
    if isinstance(encoder, XDistillResNet18):
        return encoder.save_pretrained(folder, name=name, provenance=provenance, half=True)
    tensors = {}
    for key, value in encoder.state_dict().items():
        stored = value.half() if value.is_floating_point() else value
        if value.is_floating_point() and bool((stored.isinf() & value.isfinite()).any()):
            raise ValueError(f"{key} reaches {value.abs().max().item():.4g}, float16 ends at 65504; lower the rates")
        tensors[key] = stored.cpu().contiguous()
    weights = safetensors.torch.save(tensors, metadata={"format": "pt"})
    config = CheckpointConfig(
        name=name,
        norm=encoder.norm,
        teacher_features=encoder.teacher_head.out_features,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        provenance=provenance,
        architecture=encoder.backbone,
    )
    try:
        text = json.dumps(asdict(config), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"provenance: expected what JSON holds, got {provenance!r} ({error})") from error
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / WEIGHTS_FILE, weights)
    _replace(folder / CONFIG_FILE, text.encode())
    return folder


def load_student(folder: str | Path) -> XDistillResNet18 | AblationEncoder:
    """The encoder of a folder that `Student.save` wrote, in eval mode: `encoder(images)` are its features,
    `encoder.teacher_embedding(images)` its estimate of the teacher's embedding.

    Raises:
        ValueError: no such folder, or one that is damaged or was written by something else, or by another version.
    """
    folder = Path(folder)
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"{folder.absolute()}: no {CONFIG_FILE}; give a folder that a distillation wrote")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error}); copy the whole folder again") from error
    names = {field.name for field in fields(CheckpointConfig)}
    if not isinstance(entries, dict) or set(entries) != names:
        raise ValueError(f"{path}: expected the entries {', '.join(sorted(names))}, so a distillation did not write it")
    if entries["architecture"] == "resnet18":
        trained = entries["norm"] if entries["norm"] in get_args(Norm) else None  # None: refused with what is wrong
        return XDistillResNet18.from_pretrained(folder, norm=trained)
    if entries["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"{path}: format version {entries['format_version']!r}, this xdistill-encoder reads {FORMAT_VERSION}; "
            "install the one that wrote it, or distil again"
        )
    config = CheckpointConfig(**entries)
    encoder = AblationEncoder(config.architecture, config.norm, config.teacher_features or 0)
    weights = folder / WEIGHTS_FILE
    content = weights.read_bytes() if weights.is_file() else b""
    if hashlib.sha256(content).hexdigest() != config.weights_sha256:
        raise ValueError(f"{weights}: missing, truncated, or of another checkpoint; copy the whole folder again")
    fill(encoder, safetensors.torch.load(content), config.name)
    encoder.checkpoint = config
    return encoder.eval()


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its place, then move it there: a reader sees the old file or the whole one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
