"""Finds the policies whose attention is to be explained."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_files import CONFIG, read_config


@dataclass(frozen=True)
class Subject:
    """One policy under comparison, not loaded yet."""

    label: str
    """Its encoder's name, with its folder where several have that encoder."""
    folder: Path
    state_size: int
    action_size: int
    origin: dict[str, Any]
    """What it was trained on."""

    def load(self, device: torch.device) -> DiffusionPolicy:
        """The policy in eval mode, without gradients of its weights; raises ValueError for damaged ones."""
        policy, _ = DiffusionPolicy.load(self.folder)
        return policy.requires_grad_(False).to(device)


def find_subjects(named: Sequence[Path]) -> list[Subject]:
    """The policies in the named folders, each a policy's or one of runs, which is searched for `policy` folders.

    A run's folder may hold policies that read no pixels; they are left out, and a line says so.

    Raises:
        ValueError: no policy there, a policy that was named and reads something else than the camera "image", or
            policies of different tasks or settings of rendering.
    """
    folders: list[Path] = []
    for path in named:
        folders += [folder for folder in policy_folders(path) if folder not in folders]
    configs = [read_config(folder) for folder in folders]
    for fact in ("task", "render"):
        found = sorted({config["origin"][fact] for config in configs if config["origin"].get(fact)})
        if len(found) > 1:
            raise ValueError(
                f"policies: expected policies that learned from one {fact}, got {', '.join(found)}; name those of one."
            )
    labels = labels_of([config["encoders"][0]["name"] for config in configs], folders)
    return [
        Subject(label, folder, config["shape"]["state_size"], config["shape"]["action_size"], config["origin"])
        for label, folder, config in zip(labels, folders, configs, strict=True)
    ]


def labels_of(names: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """The names; those that occur more than once with what tells their folders apart."""
    places = [(folder.parent if folder.name == "policy" else folder).resolve() for folder in folders]
    common = os.path.commonpath(places)
    return [
        name if names.count(name) == 1 else f"{name} {place.relative_to(common)}"
        for name, place in zip(names, places, strict=True)
    ]


def policy_folders(path: Path) -> list[Path]:
    """The folders of policies that read the camera "image": the path itself, or those below it.

    Raises:
        ValueError: there are none.
    """
    if (path / CONFIG).is_file():
        if (reads := cameras_of(path)) != ("image",):
            raise ValueError(
                f"policies: saliency needs a policy that reads the camera 'image' alone, the one in {path} reads "
                f"{', '.join(reads) or 'no camera'}; train one with `xdistill finetune --encoder xdistill`."
            )
        return [path]
    found = sorted(config.parent for config in path.rglob(f"policy/{CONFIG}"))
    seeing = [folder for folder in found if cameras_of(folder) == ("image",)]
    for folder in found:
        if folder not in seeing:
            print(f"left out: {folder}, which reads {', '.join(cameras_of(folder)) or 'no camera'}", flush=True)
    if not seeing:
        raise ValueError(
            f"policies: {path} holds no policy that reads images; `xdistill finetune --output {path}` writes one into "
            f"{path / 'policy'}, `xdistill benchmark --output {path}` one a run."
        )
    return seeing


def cameras_of(folder: Path) -> tuple[str, ...]:
    """What the encoders of a saved policy read, without loading it; raises ValueError where there is none."""
    return tuple(read_config(folder)["shape"]["cameras"])
