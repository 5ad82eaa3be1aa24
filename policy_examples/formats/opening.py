"""Finds out which format lies at a path."""

import os
from dataclasses import replace
from pathlib import Path

from policy_examples.formats.episodes import Episodes, Selection, with_selection, without

ACCEPTED = (
    "accepted are zarr stores of `xdistill demos`, Diffusion Policy or DP3 (folder or .zarr.zip), robomimic HDF5 files "
    "and LeRobotDataset folders"
)


def open_episodes(path: Path, selection: Selection) -> Episodes:
    """The demonstrations at a path, opened but not read; the origin notes which state and action the selection names.

    Raises:
        ValueError: nothing there, none of the formats, or what the format's own reader finds wrong.
    """
    episodes = _open(path, selection)
    if selection.skip_episodes:
        episodes = without(episodes, selection.skip_episodes)
    return replace(episodes, origin=with_selection(episodes.origin, selection))


def _open(path: Path, selection: Selection) -> Episodes:
    if not path.exists():
        kept = lerobot_home() / path
        hint = f"LeRobot keeps this data set in {kept}, give that" if kept.is_dir() else ACCEPTED
        raise ValueError(f"demonstrations: there is no {path}; {hint}.")
    name = _format(path)
    if selection.filter is not None and name == "zarr":
        raise ValueError(
            f"filter: robomimic's files have lists of demonstrations, LeRobotDatasets have tasks, {path} is zarr; "
            "leave it out."
        )
    if name == "lerobot":
        from policy_examples.formats.lerobot import open_lerobot

        return open_lerobot(path, selection)
    if name == "robomimic":
        from policy_examples.formats.robomimic import open_robomimic

        return open_robomimic(path, selection)
    from policy_examples.formats.diffusion_policy import open_zarr

    return open_zarr(path, selection)


def lerobot_home() -> Path:
    """The folder in which LeRobot keeps its data sets, by their ids."""
    home = os.environ.get("HF_LEROBOT_HOME")
    return Path(home) if home else Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "lerobot"


def _format(path: Path) -> str:
    if path.is_dir():
        if (path / "meta" / "info.json").is_file():
            return "lerobot"
        if any((path / name).is_file() for name in (".zgroup", "zarr.json")):
            return "zarr"
        listing = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise ValueError(f"demonstrations: {path} holds {listing}; {ACCEPTED}.")
    with path.open("rb") as file:
        beginning = file.read(8)
    if beginning == b"\x89HDF\r\n\x1a\n":
        return "robomimic"
    if beginning[:4] == b"PK\x03\x04":
        return "zarr"
    raise ValueError(f"demonstrations: {path} begins with {beginning!r}, which is neither HDF5 nor zip; {ACCEPTED}.")
