"""Evaluates a policy over seeded episodes of its task."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from tqdm import tqdm

from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.devices import best_device
from policy_examples.envs.camera import Render, RenderingError
from policy_examples.envs.chunked import film_fps
from policy_examples.envs.contract import Environment
from policy_examples.envs.shifts import ShiftName
from policy_examples.envs.tasks import TaskConfig, open_environment
from policy_examples.envs.vector import open_vector
from policy_examples.interrupts import StopRequest
from policy_examples.playing import PlayedEpisode, interface_of, play, play_all
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_files import CONFIG, WEIGHTS
from policy_examples.run_lock import sole_run
from policy_examples.video import require_video_writer, write_video
from policy_examples.whole_files import write_text

REPLAYS = 3
"""Episodes that are tried for a film."""


@dataclass(frozen=True)
class Config:
    """Which policy to play, on which episodes."""

    policy: Path = Path("run/policy")
    """The folder that `xdistill finetune` wrote."""
    output: Path = Path("rollout")
    """Folder of episodes.jsonl, success.mp4, failure.mp4; an interrupted rollout found there is continued."""
    episodes: int = 20
    """Episodes to play."""
    seed: int = FIRST_EVALUATION_SEED
    """Placement seed of the first episode; the others count up. Demonstrations have lower ones."""
    processes: int = 1
    """Environments side by side, a process each; 1 plays in the policy's own process."""
    shift: ShiftName | None = None
    """What differs from the demonstrations' scene; None is nothing."""
    task: str | None = None
    """Such as drawer-open or adroit-door; None is the one that the policy learned."""
    image_size_px: int | None = None
    """None is the size that the policy learned from."""
    render: Render | None = None
    """None is the setting that the policy learned from."""
    points: int | None = None
    """Points per cloud, for policies that read them; None is the number that the policy learned from."""
    video: bool = True
    """Film one solved episode and one failed, where there are such."""


def evaluate(
    policy: DiffusionPolicy,
    task: TaskConfig,
    seeds: Sequence[int],
    *,
    processes: int = 1,
    log: Path | None = None,
    played: Sequence[PlayedEpisode] = (),
    stop: Callable[[], bool] = lambda: False,
) -> list[PlayedEpisode]:
    """Play every seed once, but for those that were played.

    Objects, shift and noise follow the seed alone: every encoder meets the same episodes, and any number of processes
    gives the same results, but for the rounding of a batch against a single observation.

    Args:
        processes: environments side by side; 0 or 1 plays in this process.
        log: file of a JSON line {"seed", "success", "steps"} an episode, written as it ends, after those of `played`.
        played: episodes of some of the seeds, of the same policy and task.
        stop: asked before each chunk of actions; once it says True, the episodes that have ended are returned.

    Returns:
        The episodes, `played` among them, in the order of their seeds.

    Raises:
        ValueError: no seeds or doubled ones, an unknown task, a policy that does not fit it.
        ChildProcessError: a process died.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds: expected one or more, each once, got {list(seeds)}.")
    ended = {episode.seed: episode for episode in played}
    left = [seed for seed in seeds if seed not in ended]
    if not left:
        return [ended[seed] for seed in seeds]
    with (
        unless(stop),
        open_vector(task, interface_of(policy), min(processes, len(left))) as vector,
        nullcontext() if log is None else log.open("w", buffering=1) as file,
        tqdm(initial=len(ended), total=len(seeds), desc=f"episodes of {task.task}", unit="episode") as progress,
    ):
        if file is not None:
            file.writelines(json.dumps(asdict(episode)) + "\n" for episode in played)
        for episode in play_all(policy, vector, left, stop):
            ended[episode.seed] = episode
            if file is not None:
                file.write(json.dumps(asdict(episode)) + "\n")
            progress.set_postfix(success=f"{success_rate(list(ended.values())):.0%}", refresh=False)
            progress.update()
    return [ended[seed] for seed in seeds if seed in ended]


@contextmanager
def unless(stop: Callable[[], bool]) -> Iterator[None]:
    """Let processes die that a signal to all of them, as a scheduler sends it, has ended with the request to stop."""
    try:
        yield
    except ChildProcessError:
        if not stop():
            raise


def success_rate(episodes: Sequence[PlayedEpisode]) -> float:
    """Share of solved episodes, at least one episode."""
    return sum(episode.success for episode in episodes) / len(episodes)


def record(policy: DiffusionPolicy, env: Environment, episodes: Sequence[PlayedEpisode], folder: Path) -> list[Path]:
    """Replay a solved episode into success.mp4, a failed one into failure.mp4; returns those that were written.

    A replay decides for one observation where the evaluation decided for a batch, and so may end otherwise; then the
    next episode is tried.
    """
    written = []
    for name, success in (("success", True), ("failure", False)):
        for episode in [episode for episode in episodes if episode.success == success][:REPLAYS]:
            frames: list[np.ndarray] = []
            if play(policy, env, episode.seed, frames).success == success:
                written.append(folder / f"{name}.mp4")
                write_video(frames, written[-1], film_fps(env.task))
                break
    return written


def require_unseen(seeds: Sequence[int], origin: dict[str, Any]) -> None:
    """Raise a ValueError where an evaluation seed placed a demonstration's objects, or had a part in the choice of a
    best policy, whose success on these episodes says too much."""
    seen = sorted(set(seeds) & set(origin.get("seeds", [])))
    if seen:
        raise ValueError(f"seed: {seen} placed the objects of demonstrations; start at {FIRST_EVALUATION_SEED}.")
    chosen_by = origin.get("selected_by_seeds", [])
    if set(seeds) & set(chosen_by):
        raise ValueError(
            f"seed: {chosen_by[0]} to {chosen_by[-1]} are the episodes by which this policy was chosen as the best of "
            f"its training; start at {max(chosen_by) + 1}, or play the policy of the last step."
        )


def require_simulated_arrays(origin: dict[str, Any]) -> None:
    """Raise a ValueError for a policy whose state or actions were chosen: simulators give all, in their order."""
    chosen = origin.get("selection", {})
    if chosen:
        named = ", ".join(f"{name} {value!r}" for name, value in chosen.items())
        raise ValueError(
            f"policy: it learned from chosen arrays of the demonstrations ({named}), which the simulator does not "
            "give; learn from all of them to be evaluated there."
        )


def task_facts(reads: Sequence[str]) -> list[str]:
    """What must be known, beside a shift, of the task of a policy that reads these."""
    return ["task", "image_size_px", "render", *["points"] * ("point_cloud" in reads)]


def task_of(config: Config, policy: DiffusionPolicy, origin: dict[str, Any]) -> TaskConfig:
    """Task, image size, render setting, points: what was asked for, else what the policy learned from.

    Raises:
        ValueError: neither says it, or the policy learned from arrays that the simulator does not give.
    """
    asked = {name: getattr(config, name) for name in task_facts(policy.reads)}
    found: dict[str, Any] = {name: origin.get(name) if value is None else value for name, value in asked.items()}
    for name, value in found.items():
        if value is None and name == "task":
            raise ValueError(
                "task: the policy's demonstrations name no task of MetaWorld or Adroit, which are all that is played "
                "here; a robot's policy is scored on the robot, by policy_examples/robot.py. Or give --task."
            )
        if value is None:
            raise ValueError(f"{name}: the policy's demonstrations do not say it; give it on the command line.")
    require_simulated_arrays(origin)
    rendered_px = None if config.image_size_px else origin.get("rendered_px")
    return TaskConfig(**found, rendered_px=rendered_px, shift=config.shift)


def fingerprint(policy: Path) -> str:
    """A number that the folder of another policy does not share."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        with (policy / name).open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()[:16]


def played_before(folder: Path, facts: dict[str, Any]) -> list[PlayedEpisode]:
    """The episodes that the same rollout left in the folder; where there are none, rollout.json takes the facts.

    Args:
        facts: all that decides the episodes, as JSON.

    Raises:
        ValueError: another rollout's episodes lie there.
    """
    settings, ended, partial = (folder / name for name in ("rollout.json", "episodes.jsonl", "episodes.partial"))
    lines = max(
        map(whole_lines, (ended, partial)), key=len
    )  # a demo that is asked for more episodes goes on in partial
    if not lines:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(settings, json.dumps(facts, indent=2) + "\n")
        return []
    found = json.loads(settings.read_text()) if settings.exists() else {}
    if found != facts:
        changed = [name for name in found if found[name] != facts.get(name)]
        changes = "".join(f", {name} {found[name]!r} -> {facts.get(name)!r}" for name in changed)
        raise ValueError(f"output: {folder} holds the episodes of another rollout{changes}; name another folder.")
    return [PlayedEpisode(**json.loads(line)) for line in lines]


def whole_lines(path: Path) -> list[str]:
    """Of a file, without the part of one that a killed process may leave; none where there is no file."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith("\n")]


def run(config: Config) -> list[PlayedEpisode]:
    """Play and film what the configuration asks for, as far as an earlier session in its folder has not played it.

    Raises:
        ValueError: no policy there, an evaluation seed that a demonstration had, an unknown task, or results of
            another rollout in the output folder.
        KeyboardInterrupt: it was asked to stop; the episodes that had ended are in episodes.partial.
    """
    for name in ("episodes", "processes"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: expected 1 or more, got {getattr(config, name)}.")
    if config.video:
        require_video_writer()
    policy, origin = DiffusionPolicy.load(config.policy)
    policy.to(best_device())
    seeds, task = range(config.seed, config.seed + config.episodes), task_of(config, policy, origin)
    require_unseen(seeds, origin)
    facts = {"policy": fingerprint(config.policy), **asdict(task), "seed": config.seed, "episodes": config.episodes}
    played, log = played_before(config.output, facts), config.output / "episodes.partial"
    with StopRequest() as stop:
        episodes = evaluate(
            policy, task, seeds, processes=config.processes, log=log, played=played, stop=lambda: stop.requested
        )
    if len(episodes) == len(seeds) and log.exists():
        log.rename(config.output / "episodes.jsonl")
    if stop.requested:
        raise KeyboardInterrupt
    if config.video:
        with open_environment(task) as env:
            record(policy, env, episodes, config.output)
    return episodes


def main() -> None:
    """`xdistill rollout`."""
    config = tyro.cli(Config, prog="xdistill rollout", description="Play a policy and count its successes.")
    try:
        with sole_run(config.output):
            episodes = run(config)
    except (OSError, ValueError, RenderingError) as error:
        raise SystemExit(f"xdistill rollout: {error}") from error
    except KeyboardInterrupt:
        print("\nxdistill rollout: interrupted; the same command continues.", file=sys.stderr)
        sys.exit(130)
    print(f"success: {success_rate(episodes):.0%} of {len(episodes)} episodes; {config.output}")


if __name__ == "__main__":
    main()
