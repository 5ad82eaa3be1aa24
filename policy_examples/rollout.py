"""Plays a policy in its environment over seeded episodes."""

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.envs.camera import Render, RenderingError
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.policy import DiffusionPolicy

VIDEO_SIZE_PX = 256
VIDEO_EVERY = 2
"""Simulator steps a video frame."""
VIDEO_FPS = 40


@dataclass(frozen=True)
class Config:
    """Which policy to play, on which episodes."""

    policy: Path = Path("run/policy")
    """The folder that `xdistill finetune` wrote."""
    output: Path = Path("rollout")
    """Folder of episodes.jsonl and the video."""
    episodes: int = 20
    """Episodes to play."""
    seed: int = FIRST_EVALUATION_SEED
    """Placement seed of the first episode; the others count up. Demonstrations have lower ones."""
    task: str | None = None
    """MetaWorld task; None is the one that the policy learned."""
    image_size_px: int | None = None
    """None is the size that the policy learned from."""
    render: Render | None = None
    """None is the setting that the policy learned from."""
    video: bool = True
    """Record one episode, a solved one if there is any."""


@dataclass(frozen=True)
class Episode:
    """How one episode went."""

    seed: int
    success: bool
    steps: int


def play(policy: DiffusionPolicy, env: MetaWorld, seed: int, frames: list[np.ndarray] | None = None) -> Episode:
    """One episode, up to its first solved step.

    The noise follows the seed, so that an episode repeats exactly. Only the To frames before a decision are rendered.

    Args:
        frames: takes video frames, every second step.
    """
    device = next(policy.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    frames_read, chunk = policy.shape.observation_steps, policy.shape.action_steps
    env.reset(seed)
    seen = deque([env.observe()] * frames_read, maxlen=frames_read)
    for first in range(0, env.episode_steps, chunk):
        with one_thread():
            actions = policy.predict_action(stack(seen, device), generator)[0].cpu().numpy()  # (Ta, A)
        for step, action in enumerate(actions[: env.episode_steps - first]):
            if frames is not None and (first + step) % VIDEO_EVERY == 0:
                frames.append(env.frame(VIDEO_SIZE_PX))
            if env.step(action):
                if frames is not None:
                    frames.append(env.frame(VIDEO_SIZE_PX))
                return Episode(seed, True, first + step + 1)
            if step >= chunk - frames_read:
                seen.append(env.observe())
    return Episode(seed, False, env.episode_steps)


@contextmanager
def one_thread() -> Iterator[None]:
    """A batch of one is too small to share: on busy cores, waiting for a second thread costs far more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def stack(seen: deque[dict[str, np.ndarray]], device: torch.device) -> dict[str, Tensor]:
    """To observations -> {"image": (1, To, 3, H, W) uint8, "agent_pos": (1, To, P) float32}."""
    images = np.stack([observation["image"] for observation in seen])  # (To, H, W, 3)
    agent_pos = np.stack([observation["agent_pos"] for observation in seen])
    return {
        "image": torch.from_numpy(images).permute(0, 3, 1, 2)[None].to(device),
        "agent_pos": torch.from_numpy(agent_pos)[None].to(device),
    }


def evaluate(policy: DiffusionPolicy, env: MetaWorld, seeds: range, log: Path) -> list[Episode]:
    """Play every seed; a JSON line each goes to the log."""
    episodes = []
    with log.open("w", buffering=1) as file, tqdm(seeds, desc=f"episodes of {env.task}", unit="episode") as progress:
        for seed in progress:
            episodes.append(play(policy, env, seed))
            file.write(json.dumps(asdict(episodes[-1])) + "\n")
            progress.set_postfix(success=f"{success_rate(episodes):.0%}")
    return episodes


def success_rate(episodes: list[Episode]) -> float:
    """Share of solved episodes."""
    return sum(episode.success for episode in episodes) / len(episodes)


def record(policy: DiffusionPolicy, env: MetaWorld, episodes: list[Episode], path: Path) -> Episode:
    """Replay the first solved episode, or the first at all, into an MP4; returns it."""
    shown = next((episode for episode in episodes if episode.success), episodes[0])
    frames: list[np.ndarray] = []
    play(policy, env, shown.seed, frames)
    write_video(frames, path)
    return shown


def write_video(frames: list[np.ndarray], path: Path) -> None:
    """(H, W, 3) uint8 frames -> MP4 (H.264)."""
    import imageio_ffmpeg

    height, width, _ = frames[0].shape
    writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=VIDEO_FPS)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def require_unseen(seeds: range, origin: dict) -> None:
    """Raise a ValueError where an evaluation seed placed a demonstration's objects."""
    seen = sorted(set(seeds) & set(origin.get("seeds", [])))
    if seen:
        raise ValueError(f"seed: {seen} placed the objects of demonstrations; start at {FIRST_EVALUATION_SEED}.")


def settings(config: Config, origin: dict) -> Iterator[tuple[str, str | int]]:
    """Task, image size, render setting: what was asked for, else what the policy learned from."""
    for name in ("task", "image_size_px", "render"):
        value = getattr(config, name) or origin.get(name)
        if value is None:
            raise ValueError(f"{name}: the policy's demonstrations do not say it; give it on the command line.")
        yield name, value


def run(config: Config) -> list[Episode]:
    """Play and record what the configuration asks for.

    Raises:
        ValueError: no policy there, an evaluation seed that a demonstration had, an unknown task, or results of
            another rollout in the output folder.
    """
    policy, origin = DiffusionPolicy.load(config.policy)
    policy.to("cuda" if torch.cuda.is_available() else "cpu")
    seeds = range(config.seed, config.seed + config.episodes)
    require_unseen(seeds, origin)
    if (config.output / "episodes.jsonl").exists():
        raise ValueError(f"output: {config.output} holds the episodes of another rollout; name another folder.")
    config.output.mkdir(parents=True, exist_ok=True)
    with MetaWorld(**dict(settings(config, origin))) as env:  # type: ignore[arg-type]
        episodes = evaluate(policy, env, seeds, config.output / "episodes.jsonl")
        if config.video:
            record(policy, env, episodes, config.output / "episode.mp4")
    return episodes


def main() -> None:
    """`xdistill rollout`."""
    config = tyro.cli(Config, prog="xdistill rollout", description="Play a policy and count its successes.")
    try:
        episodes = run(config)
    except (ValueError, RenderingError) as error:
        raise SystemExit(f"xdistill rollout: {error}") from error
    print(f"success: {success_rate(episodes):.0%} of {len(episodes)} episodes; {config.output}")


if __name__ == "__main__":
    main()
