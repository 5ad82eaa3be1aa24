"""Finds the policies whose attention is to be explained."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from policy_examples.explain.seeing_policies import seeing_policies
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_files import read_config
from policy_examples.policy_shape import PolicyShape, sides


@dataclass(frozen=True)
class Subject:
    """One policy under comparison, not loaded yet."""

    label: str
    """Its encoder's name, with its folder where several have that encoder."""
    folder: Path
    cameras: tuple[str, ...]
    """Observation keys of images, "image" or "image_<name>"."""
    state_size: int
    action_size: int
    crop_px: tuple[int, int] | None
    """(H, W) of the middle of a frame that it sees; None: whole frames."""
    origin: dict[str, Any]
    """What it was trained on."""

    def load(self, device: torch.device) -> DiffusionPolicy:
        """The policy in eval mode, without gradients of its weights; raises ValueError for damaged ones."""
        policy, _ = DiffusionPolicy.load(self.folder)
        return policy.requires_grad_(False).to(device)


def find_subjects(named: Sequence[Path]) -> list[Subject]:
    """The policies in the named folders, as `seeing_policies` finds them.

    Raises:
        ValueError: no policy there, one that reads no images, or policies of different tasks or settings of rendering.
    """
    folders = seeing_policies(named)
    configs = [read_config(folder) for folder in folders]
    for fact in ("task", "render"):
        found = sorted({config["origin"][fact] for config in configs if config["origin"].get(fact)})
        if len(found) > 1:
            raise ValueError(
                f"policies: expected policies that learned from one {fact}, got {', '.join(found)}; name those of one."
            )
    labels = labels_of([config["encoders"][0]["name"] for config in configs], folders)
    return [
        Subject(
            label,
            folder,
            tuple(config["shape"]["cameras"]),
            config["shape"]["state_size"],
            config["shape"]["action_size"],
            seen_of(config["shape"]),
            config["origin"],
        )
        for label, folder, config in zip(labels, folders, configs, strict=True)
    ]


def seen_of(shape: dict[str, Any]) -> tuple[int, int] | None:
    """(H, W) of the middle of a frame that a policy of this shape sees; None: whole frames."""
    crop_px = PolicyShape.from_dict(shape).crop_px
    return None if crop_px is None else sides(crop_px)


def labels_of(names: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """The names; those that occur more than once with what tells their folders apart."""
    places = [(folder.parent if folder.name == "policy" else folder).resolve() for folder in folders]
    common = os.path.commonpath(places)
    return [
        name if names.count(name) == 1 else f"{name} {place.relative_to(common)}"
        for name, place in zip(names, places, strict=True)
    ]
