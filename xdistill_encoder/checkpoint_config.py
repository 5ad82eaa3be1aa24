"""What config.json says of a checkpoint."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from xdistill_encoder.norms import Norm

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"


class CheckpointError(ValueError):
    """A checkpoint cannot be found, read, trusted or used as asked; the message says why and what to do."""


@dataclass(frozen=True)
class CheckpointConfig:
    """The entries of config.json.

    Attributes:
        name: what made the weights, in a few words.
        norm: the norm layers they were trained with.
        teacher_features: width of the teacher's embedding, None without a teacher head.
        weights_sha256: checksum of model.safetensors.
        provenance: teacher, images, command, commit, scores.
    """

    name: str
    norm: Norm
    teacher_features: int | None
    weights_sha256: str
    provenance: dict[str, Any] = field(default_factory=dict, hash=False)
    architecture: str = "resnet18"
    format_version: int = FORMAT_VERSION

    def as_origin(self) -> dict[str, Any]:
        """Provenance of weights that started from this checkpoint."""
        return {
            "started_from": {
                "name": self.name,
                "weights_sha256": self.weights_sha256,
                "provenance": self.provenance,
            }
        }

    def lineage(self) -> tuple[str, ...]:
        """Names of this checkpoint, of the one that it started from, and so on."""
        names, origin = [self.name], self.provenance.get("started_from")
        while isinstance(origin, dict) and isinstance(origin.get("name"), str):
            names.append(origin["name"])
            made = origin.get("provenance")
            origin = made.get("started_from") if isinstance(made, dict) else None
        return tuple(names)


ARCHITECTURE = "resnet18"
"""Of the encoder; students of other backbones, which the recipe compares with it, name theirs."""


def read_config(
    path: Path, remedy: str = "copy the whole folder again", architecture: str | None = ARCHITECTURE
) -> CheckpointConfig:
    """config.json -> CheckpointConfig.

    Args:
        remedy: ends the message about a damaged file: where to get it again.
        architecture: what is accepted; None: any.

    Raises:
        CheckpointError: a missing, unreadable, foreign, newer or incomplete file.
    """
    if not path.is_file():
        inside = sorted(path.parent.glob(f"*/{CONFIG_FILE}"))
        hint = "name a folder that save_pretrained() or `xdistill distill` wrote"
        if inside:
            hint = f"there is one inside, {inside[0].parent}"
        raise CheckpointError(f"{path.parent}: no {CONFIG_FILE}, so this is no xdistill-encoder checkpoint; {hint}")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error}); {remedy}") from error
    if not isinstance(entries, dict) or "format_version" not in entries:
        raise CheckpointError(f"{path}: no format_version, so this is no xdistill-encoder checkpoint")
    _check_version(path, entries["format_version"])
    names = {f.name for f in fields(CheckpointConfig)}
    if set(entries) != names:
        raise CheckpointError(
            f"{path}: missing entries {sorted(names - set(entries))}, unknown entries {sorted(set(entries) - names)}; "
            "save it again with save_pretrained()"
        )
    check_entries(str(path), entries, architecture)
    return CheckpointConfig(**entries)


def _check_version(path: Path, version: object) -> None:
    if version == FORMAT_VERSION:
        return
    newer = isinstance(version, int) and version > FORMAT_VERSION
    advice = "upgrade with: pip install --upgrade xdistill-encoder" if newer else "save it again with save_pretrained()"
    raise CheckpointError(f"{path}: format version {version!r}, this xdistill-encoder reads {FORMAT_VERSION}; {advice}")


def check_entries(where: str, entries: dict[str, Any], architecture: str | None = ARCHITECTURE) -> None:
    """Raise a CheckpointError that starts with `where` for an entry of config.json that does not fit."""
    width = entries["teacher_features"]
    accepted = {
        "architecture": (repr(architecture), architecture in (None, entries["architecture"])),
        "norm": (f"one of {', '.join(get_args(Norm))}", entries["norm"] in get_args(Norm)),
        "teacher_features": ("a whole number from 1 up, or null", width is None or (type(width) is int and width > 0)),
        "name": ("a string", isinstance(entries["name"], str)),
        "weights_sha256": ("a string", isinstance(entries["weights_sha256"], str)),
        "provenance": ("an object", isinstance(entries["provenance"], dict)),
    }
    for name, (expected, fits) in accepted.items():
        if not fits:
            raise CheckpointError(f"{where}: {name}: expected {expected}, got {entries[name]!r}")
