"""A folder that another library loads: its files appear whole, or not at all."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from xdistill_encoder.checkpoint_weights import read_config, require_no_other_model
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD
from xdistill_encoder.model import XDistillResNet18


def write_folder(folder: str | Path, configs: dict[str, dict[str, Any]], tensors: dict[str, Tensor]) -> Path:
    """Write JSON files by name beside model.safetensors; what another export left there is replaced.

    Raises:
        ValueError: the folder holds a checkpoint of this package, or another library's model, which an export would
            overwrite.
    """
    folder = Path(folder).expanduser()
    config = read_config(folder)
    if config is None:
        require_no_other_model(folder)
    if config is not None and "xdistill" not in config:
        whose = "a checkpoint of this package" if "teacher_features" in config else "another model"
        raise ValueError(f"folder: {folder} holds {whose}; give the export a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
        whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(whole, Path(partial) / "model.safetensors", metadata={"format": "pt"})
        for name, content in configs.items():
            (Path(partial) / name).write_text(json.dumps(content, indent=2) + "\n")
        for file in sorted(Path(partial).iterdir(), reverse=True):  # config.json last: without it nothing loads
            file.replace(folder / file.name)
    return folder


def provenance(encoder: XDistillResNet18) -> dict[str, Any]:
    """Where the weights come from, for a host's config.json; they may have learned since they were loaded."""
    return encoder.checkpoint.as_origin() if encoder.checkpoint else {"started_from": None}


def normalisation(mean: str, std: str) -> dict[str, list[float]]:
    """ImageNet's, under the names that a host gives them."""
    return {mean: list(IMAGENET_MEAN), std: list(IMAGENET_STD)}
