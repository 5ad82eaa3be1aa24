"""Converts demonstrations from any format that is read into zarr or a LeRobotDataset."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from policy_examples.formats.episodes import Episode, Episodes, Selection
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
    """For lerobot: whole steps a second; None is what the input says."""
    instruction: str | None = None
    """For lerobot: the task in words; None is what the input calls it."""


def convert(config: Config) -> str:
    """Read and write one episode at a time; returns what was written, in a line.

    Raises:
        ValueError: the input cannot be read, the output is taken, or the input does not say what LeRobot needs.
    """
    episodes = open_episodes(config.input, config.selection)
    arrays: Episode = {}
    with tqdm(total=len(episodes.lengths), desc=f"{config.input.name} -> {config.format}", unit="episode") as progress:

        def read(index: int) -> Episode:
            episode = episodes.read(index)
            arrays.update(episode)
            progress.update()
            return episode

        counted = Episodes(episodes.lengths, read, episodes.origin)
        if config.format == "zarr":
            write_zarr(counted, config.output)
        else:
            write_lerobot(counted, config.output, _fps(config, episodes), _instruction(config, episodes))
    cameras = [name.replace("img", "image", 1) for name in arrays if name == "img" or name.startswith("img_")]
    numbers = f"agent_pos {arrays['state'].shape[1:]}, action {arrays['action'].shape[1:]}"
    size = f"{len(episodes.lengths)} episodes, {sum(episodes.lengths)} steps"
    return f"{config.output}: {size}; cameras {', '.join(cameras)}; {numbers}"


def _fps(config: Config, episodes: Episodes) -> int:
    fps = config.fps or episodes.origin.get("fps")
    if fps is None:
        raise ValueError(f"fps: {config.input} does not say how many steps a second it has; give --fps.")
    if fps != int(fps) or fps < 1:
        raise ValueError(f"fps: a LeRobotDataset counts whole steps a second, {config.input} has {fps}; give --fps.")
    return int(fps)


def _instruction(config: Config, episodes: Episodes) -> str:
    if config.instruction is not None:
        return config.instruction
    if "instruction" in episodes.origin:  # of the LeRobotDataset that it is, or comes from
        return str(episodes.origin["instruction"])
    if "task" in episodes.origin:
        return str(episodes.origin["task"]).replace("-", " ")
    if episodes.origin.get("recorded_task") is None:
        raise ValueError(f"instruction: {config.input} does not name its task; give --instruction, the task in words.")
    return str(episodes.origin["recorded_task"])


def main() -> None:
    """`xdistill convert`."""
    try:
        config = tyro.cli(Config, prog="xdistill convert", description="Convert demonstrations between formats.")
        written = convert(config)
    except ValueError as error:
        raise SystemExit(f"xdistill convert: {error}") from error
    print(f"{config.format}: {written}")


if __name__ == "__main__":
    main()
