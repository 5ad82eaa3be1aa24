"""A policy's folder: config.json beside model.safetensors."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FORMAT = 2


def write_policy(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write the folder, complete or not at all; a policy that lies there is replaced."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial / WEIGHTS)
    (partial / CONFIG).write_text(json.dumps({"format": FORMAT, **config}, indent=2) + "\n")
    replaced = folder.with_name(folder.name + ".replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration; raises ValueError where there is none, or one of another format."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"policy: {folder} holds no policy ({error}); `xdistill finetune` writes one.") from error
    found = config.get("format") if isinstance(config, dict) else None
    if found != FORMAT:
        raise ValueError(f"policy: {path} has format {found!r}, this version reads format {FORMAT}; train it again.")
    missing = [name for name in ("shape", "encoders", "origin") if name not in config]
    if missing:
        raise ValueError(f"policy: {path} lacks {', '.join(missing)}; copy the folder again from where it was trained.")
    return config


def fill(module: nn.Module, folder: Path) -> None:
    """Load the weights strictly; raises ValueError where they are missing, damaged or another architecture's."""
    try:
        module.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"policy: the weights in {folder} cannot be loaded: {error}") from error


CONFIG, WEIGHTS = "config.json", "model.safetensors"
