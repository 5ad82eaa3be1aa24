"""The tensors of a checkpoint: model.safetensors <-> state dict."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from xdistill_encoder.checkpoint_config import (
    ARCHITECTURE,
    CONFIG_FILE,
    CheckpointConfig,
    CheckpointError,
    check_entries,
)
from xdistill_encoder.norms import Norm

WEIGHTS_FILE = "model.safetensors"


def read_weights(path: Path, config: CheckpointConfig, remedy: str) -> dict[str, Tensor]:
    """The tensors of model.safetensors, once its checksum is the config's.

    Args:
        remedy: ends the message about a damaged file: where to get it again.

    Raises:
        CheckpointError: a missing, unreadable, truncated or damaged file.
    """
    if not path.is_file():
        raise CheckpointError(f"{path.parent}: {CONFIG_FILE} is there, {WEIGHTS_FILE} is not; {remedy}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: not readable ({error})") from error
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != config.weights_sha256:
        raise CheckpointError(
            f"{path}: {len(content)} bytes with sha256 {checksum}, {CONFIG_FILE} says {config.weights_sha256}; "
            f"the file is truncated, damaged or of another checkpoint: {remedy}"
        )
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: not readable as safetensors ({error}); save it again with save_pretrained()"
        ) from error


def fill(encoder: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Copy tensors into an encoder, all of them and nothing else; raises CheckpointError that lists what differs."""
    require_same_tensors(encoder.state_dict(), tensors, name)
    encoder.load_state_dict(tensors, strict=True)


def require_same_tensors(wanted: dict[str, Tensor], tensors: dict[str, Tensor], name: str) -> None:
    """Raise a CheckpointError that lists which keys or shapes are not those of the architecture."""
    missing, surplus = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or surplus:
        raise CheckpointError(
            f"checkpoint {name}: missing keys {_shorten(missing)}, surplus keys {_shorten(surplus)}; {_why(surplus)}"
        )
    shapes = [
        f"{key} is {tuple(tensors[key].shape)}, expected {tuple(wanted[key].shape)}"
        for key in wanted
        if tensors[key].shape != wanted[key].shape
    ]
    if shapes:
        raise CheckpointError(f"checkpoint {name}: wrong shapes: {_shorten(shapes)}")


def save_checkpoint(
    folder: str | Path,
    tensors: dict[str, Tensor],
    *,
    name: str,
    norm: Norm,
    teacher_features: int | None,
    provenance: dict[str, Any],
    half: bool,
    architecture: str = ARCHITECTURE,
) -> Path:
    """Write a checkpoint folder.

    A write that fails leaves the old files. Whoever is stopped between the two renames leaves files that the checksum
    tells apart, never a checkpoint that loads with the other's weights.

    Raises:
        ValueError: a name, provenance or folder that cannot be written, a weight that is not finite or, with half,
            beyond float16's range; a folder that holds another library's model.
    """
    folder = Path(folder).expanduser()
    stored = {key: _stored(key, value, half) for key, value in tensors.items()}
    weights = safetensors.torch.save(stored, metadata={"format": "pt"})
    checksum = hashlib.sha256(weights).hexdigest()
    config = CheckpointConfig(name, norm, teacher_features, checksum, provenance, architecture)
    check_entries(str(folder), asdict(config), architecture)
    try:
        text = json.dumps(asdict(config), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"provenance: expected what JSON holds (text, finite numbers, lists, dicts), got {provenance!r} ({error})"
        ) from error
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"folder: {folder} is a file; name a folder")
    require_no_other_model(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _replace({folder / WEIGHTS_FILE: weights, folder / CONFIG_FILE: text.encode()})
    return folder


def require_no_other_model(folder: Path) -> None:
    """Raise a ValueError where a checkpoint would overwrite files of the same names that another library wrote."""
    found = read_config(folder)
    if found is not None and "teacher_features" not in found:
        raise ValueError(
            f"folder: {folder} holds another model ({CONFIG_FILE}); give the checkpoint a folder of its own"
        )
    if found is None and not (folder / CONFIG_FILE).exists() and (folder / WEIGHTS_FILE).is_file():
        try:
            with safetensors.safe_open(folder / WEIGHTS_FILE, framework="pt") as weights:
                ours = any(key.startswith("trunk.") for key in weights.keys())  # noqa: SIM118, it is no dict
        except (safetensors.SafetensorError, OSError):
            ours = False
        if not ours:
            raise ValueError(
                f"folder: {folder} holds another model ({WEIGHTS_FILE}); give the checkpoint a folder of its own"
            )


def read_config(folder: Path) -> dict[str, Any] | None:
    """The object in a folder's config.json, whichever library's; None where there is none."""
    try:
        found = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _stored(key: str, value: Tensor, half: bool) -> Tensor:
    """A tensor as it lies on the disk: float32 (float16 with half), integers as they are."""
    if value.is_meta or type(value) not in (Tensor, nn.Parameter):
        raise ValueError(
            f"{key}: is a {type(value).__name__} on {value.device}, which holds no plain values; of a sharded encoder "
            "gather the full state first (get_model_state_dict of torch.distributed.checkpoint.state_dict), load it "
            "into an encoder of its own, and save that"
        )
    if not value.is_floating_point():
        return value.cpu().contiguous()
    if not bool(value.isfinite().all()):
        raise ValueError(f"{key}: holds NaN or infinity, so that every feature would; the training that made it failed")
    stored = value.to(torch.float16 if half else torch.float32)
    if half and bool(stored.isinf().any()):
        raise ValueError(
            f"half: {key} reaches {value.abs().max().item():.4g}, "
            f"float16 ends at {torch.finfo(torch.float16).max:.0f}; save with half=False"
        )
    return stored.cpu().contiguous()


def _replace(contents: dict[Path, bytes]) -> None:
    """Write every file beside its place, then move each there: a reader sees an old file or a whole one."""
    partials = {path: path.with_name(f".{path.name}.{uuid4().hex}.partial") for path in contents}
    try:
        for path, content in contents.items():
            with partials[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, partial_file in partials.items():
            partial_file.replace(path)
    finally:
        for partial_file in partials.values():
            partial_file.unlink(missing_ok=True)


def _why(surplus: list[str]) -> str:
    if any(key.endswith("_mask") or ".parametrizations." in key for key in surplus):
        return "make pruned or parametrised weights plain first: torch.nn.utils.prune.remove, remove_parametrizations"
    return "these are weights of another architecture"


def _shorten(items: list[str]) -> str:
    return ", ".join(items[:4]) + (f" and {len(items) - 4} more" if len(items) > 4 else "") or "none"
