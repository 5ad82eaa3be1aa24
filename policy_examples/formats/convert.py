"""Converts demonstrations from any format that is read into zarr or a LeRobotDataset."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from policy_examples.formats.episodes import Episode, Episodes, Selection, named_keys, require_rate
from policy_examples.formats.lerobot_writer import write_lerobot
from policy_examples.formats.opening import open_episodes
from policy_examples.store import write_zarr


@dataclass(frozen=True)
class Config:
    """What to convert, into what."""

    input: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """zarr of `xdistill demos`, Diffusion Policy or DP3, robomimic HDF5, or LeRobotDataset folder."""
    output: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Store or folder to write."""
    format: Literal["zarr", "lerobot"] = "zarr"
    """zarr is what `xdistill finetune` learns from. LeRobot has no feature for point clouds, which are left out."""
    selection: Annotated[Selection, tyro.conf.arg(name="")] = field(default_factory=Selection)
    fps: int | None = None
    """Steps a second; None is what the input says. LeRobot needs it, and whole ones; a policy's robot keeps to it."""
    instruction: str | None = None
    """The task in words; None is what the input calls it. LeRobot needs it."""


def convert(config: Config) -> str:
    """Read and write one episode at a time; returns what was written, in a line.

    Raises:
        ValueError: the input cannot be read, the output is taken, or the input does not say what LeRobot needs.
    """
    require_rate(config.fps, "--fps")
    episodes = open_episodes(config.input, config.selection)
    facts = lerobot_facts(config, episodes) if config.format == "lerobot" else None
    arrays: Episode = {}
    with tqdm(total=len(episodes.lengths), desc=f"{config.input.name} -> {config.format}", unit="episode") as progress:

        def read(index: int) -> Episode:
            episode = episodes.read(index)
            arrays.update(episode)
            progress.update()
            return episode

        told = {"fps": config.fps, "instruction": config.instruction}
        origin = {**episodes.origin, **{name: value for name, value in told.items() if value is not None}}
        counted = Episodes(episodes.lengths, read, origin)
        if facts is None:
            write_zarr(counted, config.output)
        else:
            write_lerobot(counted, config.output, *facts)
    keys = [name.replace("img", "image", 1) for name in arrays if name == "img" or name.startswith("img_")]
    numbers = f"agent_pos {arrays['state'].shape[1:]}, action {arrays['action'].shape[1:]}"
    size = f"{len(episodes.lengths)} episodes, {sum(episodes.lengths)} steps"
    return f"{config.output}: {size}; cameras {named_keys(episodes.origin, keys)}; {numbers}"


def lerobot_facts(config: Config, episodes: Episodes) -> tuple[int, str]:
    """Steps a second, and the task in words: what was asked for, else what the input says.

    Raises:
        ValueError: neither says it, or a rate that LeRobot cannot hold; names all that is missing.
    """
    origin = episodes.origin
    task = str(origin["task"]).replace("-", " ") if "task" in origin else origin.get("recorded_task")
    fps, words = config.fps or origin.get("fps"), config.instruction or origin.get("instruction") or task
    needed = {"--fps, whole steps a second": fps, "--instruction, the task in words": words}
    if fps is None or words is None:
        options = " and ".join(name for name, value in needed.items() if value is None)
        raise ValueError(f"format: a LeRobotDataset says more than {config.input} does; give {options}.")
    if fps != int(fps) or fps < 1:
        raise ValueError(f"fps: a LeRobotDataset counts whole steps a second, {config.input} has {fps}; give --fps.")
    return int(fps), str(words)


def main() -> None:
    """`xdistill convert`."""
    try:
        config = tyro.cli(Config, prog="xdistill convert", description="Convert demonstrations between formats.")
        written = convert(config)
    except (OSError, ValueError) as error:
        raise SystemExit(f"xdistill convert: {error}") from error
    print(f"{config.format}: {written}")


if __name__ == "__main__":
    main()
