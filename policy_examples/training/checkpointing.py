"""The file from which an interrupted run goes on."""

import json
from pathlib import Path
from typing import Any, Protocol

import torch

from policy_examples.whole_files import whole


class Stateful(Protocol):
    """What has a state that a checkpoint keeps."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


def save_checkpoint(path: Path, settings: dict[str, Any], step: int, parts: dict[str, Stateful], more: Any) -> None:
    """Write all that a continued run needs, complete or not at all.

    Args:
        settings: JSON-compatible; those that a continued run must share.
        more: what belongs to the step besides the parts' states.

    Raises:
        OSError: it cannot be written; the checkpoint before is intact.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    state = {"settings": json.dumps(settings), "step": step, "parts": states, "more": more}
    try:
        with whole(path) as partial:
            torch.save(state, partial)
    except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
        raise OSError(
            f"output: step {step} could not be saved in {path.parent}: {error}; what was saved before is intact, make "
            "room and repeat the command to resume from it"
        ) from error


def load_checkpoint(path: Path, settings: dict[str, Any], parts: dict[str, Stateful]) -> tuple[int, Any]:
    """Fill the parts from the checkpoint, if there is one; returns its step (0 without one), with its `more`.

    Raises:
        ValueError: it belongs to a run with other settings, is damaged, or is missing beside what a run came to.
    """
    if not path.exists():
        require_unfinished(path.parent)
        return 0, None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found, asked = json.loads(state["settings"]), json.loads(json.dumps(settings))
    except Exception as error:  # torch, pickle and zipfile each raise their own on damaged bytes
        raise ValueError(f"output: {path} cannot be read ({error!r}); name another folder to begin again.") from error
    differing = [name for name in {**found, **asked} if found.get(name) != asked.get(name)]
    if differing:
        changes = ", ".join(f"{name} {found.get(name)!r} -> {asked.get(name)!r}" for name in differing)
        precision = found.get("bf16")  # which the machine decides where nobody does
        remedy = f", or continue it with --bf16 {precision}" if differing == ["bf16"] and precision is not None else ""
        raise ValueError(
            f"output: {path.parent} holds a run that began otherwise ({changes}); name another folder{remedy}."
        )
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    return state["step"], state["more"]


def require_unfinished(folder: Path) -> None:
    """Raise a ValueError where a run without its checkpoint left what beginning again would overwrite, or where a
    policy or an encoder lies.

    A log alone is no such thing: a run that was killed before its first checkpoint leaves it.
    """
    if (folder / "model.safetensors").exists():
        raise ValueError(f"output: {folder} holds a policy's or an encoder's weights; name a folder of the run's own.")
    found = [name for name in ("policy", "best", "learning_curve.png") if (folder / name).exists()]
    if found:
        raise ValueError(
            f"output: {folder} holds {', '.join(found)} of a run whose checkpoint.pt is gone, so that it cannot be "
            "continued; name another folder."
        )
