"""The state of a run on disk."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from distillation.student_files import ENCODER_FOLDER
from xdistill_encoder.checkpoint_config import CONFIG_FILE

CHECKPOINT_FILE = "checkpoint.pt"
LATER = ("normalisation",)
"""Facts that runs of before, or of caches of before, do not tell."""


class Stateful(Protocol):
    """A part of a run whose state a checkpoint holds: model, optimizer, scheduler, scaler, average, queue, history."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


def save_checkpoint(folder: Path, step: int, facts: dict[str, str], parts: Mapping[str, Stateful | None]) -> None:
    """Write all that the next step depends on; the file appears whole or not at all.

    Args:
        folder: where; the checkpoint before is replaced.
        step: steps taken.
        facts: what a run must share to resume this one.
        parts: name -> part of the run; None: a run without this part.

    Raises:
        OSError: the disk is full or the folder cannot be written; the checkpoint before is intact.
    """
    state: dict[str, Any] = {"step": step, "facts": facts}
    state |= {name: part.state_dict() for name, part in parts.items() if part is not None}
    partial = folder / f".{CHECKPOINT_FILE}.partial"
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / CHECKPOINT_FILE)
    except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
        partial.unlink(missing_ok=True)
        raise OSError(
            f"output: step {step} could not be saved in {folder}: {error}; what was saved before is intact, "
            "make room and repeat the command to resume from it"
        ) from error


def load_checkpoint(folder: Path, facts: dict[str, str], parts: Mapping[str, Stateful | None]) -> int:
    """Restore the state of `save_checkpoint`; returns the steps taken, 0 without a checkpoint.

    Raises:
        ValueError: the folder holds a run with other settings, which the message names, a checkpoint that cannot be
            read, or an encoder without one.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        if (folder / ENCODER_FOLDER / CONFIG_FILE).exists():
            raise ValueError(
                f"output: {folder} holds the encoder of a run whose {CHECKPOINT_FILE} is gone, so that it cannot be "
                "resumed; give another --output"
            )
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle and zipfile each raise their own on damaged bytes
        raise ValueError(f"output: {path} cannot be read ({error!r}); give another --output to begin again") from error
    found = state.get("facts", {})
    unknown = {key for key in LATER if key not in found or key not in facts}
    differing = [
        f"{key} was {found.get(key)}, is {facts.get(key)}"
        for key in sorted((found.keys() | facts.keys()) - unknown)
        if found.get(key) != facts.get(key)
    ]
    if differing:
        raise ValueError(
            f"output: {folder} holds a run with other settings ({'; '.join(differing)}); "
            "repeat its settings to resume it, or give another --output"
        )
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state[name])
    return state["step"]


def make_folder(folder: Path) -> None:
    """Create the output folder; raises ValueError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"output: {folder} cannot be made a folder: {error}; give another --output") from error
