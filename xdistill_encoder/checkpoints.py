"""Where weights live: bundled name, folder or Hub id <-> config.json with model.safetensors."""

import hashlib
import json
import os
import re
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from xdistill_encoder.norms import Norm, share_weights

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_FOLDER = Path(__file__).parent / "weights"
DEFAULT_NORM: Norm = "batch"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class CheckpointError(ValueError):
    """A checkpoint cannot be found, read, trusted or used as asked; the message says why and what to do."""


@dataclass(frozen=True)
class CheckpointConfig:
    """What config.json says of a checkpoint.

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
    provenance: dict[str, Any] = field(default_factory=dict)
    architecture: str = "resnet18"
    format_version: int = FORMAT_VERSION


def bundled_checkpoints() -> dict[str, CheckpointConfig]:
    """The checkpoints inside this package, by name; they load offline."""
    folders = sorted(path.parent for path in WEIGHTS_FOLDER.glob(f"*/{CONFIG_FILE}"))
    return {folder.name: read_config(folder / CONFIG_FILE) for folder in folders}


def load_checkpoint(
    name_or_path: str | Path | None,
    *,
    norm: Norm | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> tuple[CheckpointConfig, dict[str, Tensor]]:
    """Find, read and verify a checkpoint; arguments as in `XDistillResNet18.from_pretrained`.

    Raises:
        CheckpointError: see `XDistillResNet18.from_pretrained`.
    """
    if name_or_path is None:
        name_or_path = _bundled_name(norm or DEFAULT_NORM)
    folder = _local_folder(name_or_path)
    if folder is not None:
        config_file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    elif HUB_ID.fullmatch(str(name_or_path)):
        config_file, weights_file = (
            _download(str(name_or_path), file, revision, cache_dir, token, local_files_only)
            for file in (CONFIG_FILE, WEIGHTS_FILE)
        )
    else:
        raise CheckpointError(
            f"no checkpoint named {str(name_or_path)!r}: bundled are {_names(bundled_checkpoints())}; "
            "otherwise give an existing folder, or 'org/name' on the Hugging Face Hub"
        )
    config = read_config(config_file)
    _check_norm(config, norm)
    return config, _read_weights(weights_file, config)


def read_config(path: Path) -> CheckpointConfig:
    """config.json -> CheckpointConfig; raises CheckpointError for a missing, foreign, newer or incomplete file."""
    if not path.exists():
        raise CheckpointError(f"{path.parent}: no {CONFIG_FILE}, so this is no xdistill-encoder checkpoint")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error}); get the file again") from error
    if not isinstance(entries, dict) or "format_version" not in entries:
        raise CheckpointError(f"{path}: no format_version, so this is no xdistill-encoder checkpoint")
    if entries["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {entries['format_version']}, this xdistill-encoder reads {FORMAT_VERSION}; "
            "upgrade with: pip install --upgrade xdistill-encoder"
        )
    names = {f.name for f in fields(CheckpointConfig)}
    if set(entries) != names:
        raise CheckpointError(
            f"{path}: missing entries {sorted(names - set(entries))}, unknown entries {sorted(set(entries) - names)}; "
            "save it again with save_pretrained()"
        )
    if entries["architecture"] != "resnet18" or entries["norm"] not in ("batch", "frozen", "group"):
        raise CheckpointError(
            f"{path}: expected architecture resnet18 with norm batch, frozen or group, "
            f"got {entries['architecture']!r} with {entries['norm']!r}"
        )
    return CheckpointConfig(**entries)


def fill(encoder: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Copy tensors into an encoder, all of them and nothing else; raises CheckpointError that lists what differs."""
    wanted = encoder.state_dict()
    missing, surplus = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or surplus:
        raise CheckpointError(
            f"checkpoint {name}: missing keys {_shorten(missing)}, surplus keys {_shorten(surplus)}; "
            "it was written for another architecture"
        )
    shapes = [
        f"{key} is {tuple(tensors[key].shape)}, expected {tuple(wanted[key].shape)}"
        for key in wanted
        if tensors[key].shape != wanted[key].shape
    ]
    if shapes:
        raise CheckpointError(f"checkpoint {name}: wrong shapes: {_shorten(shapes)}")
    encoder.load_state_dict(tensors, strict=True)


def save_checkpoint(
    folder: str | Path,
    tensors: dict[str, Tensor],
    *,
    name: str,
    norm: Norm,
    teacher_features: int | None,
    provenance: dict[str, Any],
    half: bool,
) -> Path:
    """Write a checkpoint folder; each file appears whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dtype = torch.float16 if half else torch.float32
    stored = {k: (v.to(dtype) if v.is_floating_point() else v).cpu().contiguous() for k, v in tensors.items()}
    weights = safetensors.torch.save(stored, metadata={"format": "pt"})
    config = CheckpointConfig(name, norm, teacher_features, hashlib.sha256(weights).hexdigest(), provenance)
    text = json.dumps(asdict(config), indent=2, ensure_ascii=False) + "\n"
    _write(folder / WEIGHTS_FILE, weights)
    _write(folder / CONFIG_FILE, text.encode())
    return folder


def upload(
    folder: str | Path, repo_id: str, *, private: bool | None, token: str | bool | None, revision: str | None, commit_message: str
) -> str:
    """Upload a folder to the Hub, creating the repository where it does not exist; returns the commit's URL."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    return api.upload_folder(
        repo_id=repo_id, folder_path=folder, revision=revision, commit_message=commit_message
    ).commit_url


def temporary_folder() -> AbstractContextManager[str]:
    """A folder that goes when the context ends."""
    return TemporaryDirectory(prefix="xdistill-")


def _bundled_name(norm: Norm) -> str:
    bundled = bundled_checkpoints()
    for name, config in bundled.items():
        if share_weights(norm, config.norm):
            return name
    raise CheckpointError(f"no bundled checkpoint was trained with norm={norm!r}; bundled are {_names(bundled)}")


def _local_folder(name_or_path: str | Path) -> Path | None:
    """The folder of a bundled name or of a path; None where it is neither."""
    if isinstance(name_or_path, str) and (WEIGHTS_FOLDER / name_or_path / CONFIG_FILE).exists() and name_or_path:
        return WEIGHTS_FOLDER / name_or_path
    path = Path(name_or_path).expanduser()
    return path if path.is_dir() else None


def _download(
    repo_id: str, file: str, revision: str | None, cache_dir: str | Path | None, token: str | bool | None, local_only: bool
) -> Path:
    from huggingface_hub import errors, hf_hub_download

    where = f"{repo_id} at revision {revision or 'main'}"
    offline = f"these work offline: {_names(bundled_checkpoints())}"
    try:
        return Path(
            hf_hub_download(
                repo_id, file, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_only
            )
        )
    except errors.GatedRepoError as error:
        raise CheckpointError(f"{where}: access is gated; ask for it on the Hub and pass token=") from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(f"{repo_id}: no such repository on the Hub, or it is private: pass token=") from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{repo_id}: no revision {revision!r} on the Hub") from error
    except errors.LocalEntryNotFoundError as error:
        why = "not in the local cache" if local_only else "the Hugging Face Hub cannot be reached"
        raise CheckpointError(f"{where}: {why}; {offline}") from error
    except errors.EntryNotFoundError as error:
        raise CheckpointError(f"{where}: no {file}, so this is no xdistill-encoder checkpoint") from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"{where}: download failed ({error}); {offline}") from error


def _check_norm(config: CheckpointConfig, asked: Norm | None) -> None:
    if asked is None or share_weights(asked, config.norm):
        return
    fitting = {name: c for name, c in bundled_checkpoints().items() if share_weights(asked, c.norm)}
    raise CheckpointError(
        f"checkpoint {config.name} was trained with norm={config.norm!r} and norm={asked!r} was asked for: swapping "
        "batch norm and group norm after training leaves weights that compute something else; "
        f"load it with norm={config.norm!r}, or a checkpoint trained with {asked!r} (bundled: {_names(fitting)})"
    )


def _read_weights(path: Path, config: CheckpointConfig) -> dict[str, Tensor]:
    if not path.exists():
        raise CheckpointError(f"{path.parent}: {CONFIG_FILE} is there, {WEIGHTS_FILE} is not; copy the whole folder")
    content = path.read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != config.weights_sha256:
        raise CheckpointError(
            f"{path}: {len(content)} bytes with sha256 {checksum}, {CONFIG_FILE} says {config.weights_sha256}; the file is "
            "truncated, damaged or of another checkpoint: get it again"
        )
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not readable as safetensors ({error})") from error


def _write(path: Path, content: bytes) -> None:
    """Write through a neighbour file, so that a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _names(configs: dict[str, CheckpointConfig]) -> str:
    return ", ".join(configs) or "none"


def _shorten(items: list[str]) -> str:
    return ", ".join(items[:4]) + (f" and {len(items) - 4} more" if len(items) > 4 else "") or "none"
