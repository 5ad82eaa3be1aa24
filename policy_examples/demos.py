"""Collects successful demonstrations from MetaWorld's scripted experts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from policy_examples.envs.camera import Render, RenderingError
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.store import Demonstrations, require_free, save_demonstrations

ATTEMPTS_PER_EPISODE = 20
FIRST_EVALUATION_SEED = 1_000_000
"""Demonstrations use placement seeds below it, evaluation from it on."""


@dataclass(frozen=True)
class Config:
    """Which demonstrations to collect."""

    task: str = "drawer-open"
    """MetaWorld task, without the -v3."""
    output: Path = Path("demonstrations.zarr")
    """The zarr store to write."""
    episodes: int = 10
    """Successful demonstrations to keep."""
    seed: int = 0
    """Placement seed of the first attempt; the following attempts count up."""
    image_size_px: int = 128
    """Height and width of a frame."""
    render: Render = "reference"
    """`fast` leaves out shadows, multisampling and reflections."""
    steps_after_success: int | None = None
    """Steps kept after the first solved one; None keeps the episode's 200, as DP3 does."""


def collect(config: Config) -> Demonstrations:
    """Play the expert until enough episodes succeed.

    An episode counts if at least five of its steps are solved, DP3's rule, or all that are kept if these are fewer.

    Raises:
        ValueError: unknown task, a seed that belongs to evaluation, or an expert that fails too often.
    """
    attempts = ATTEMPTS_PER_EPISODE * config.episodes
    if not 0 <= config.seed < FIRST_EVALUATION_SEED - attempts:
        raise ValueError(
            f"seed: {FIRST_EVALUATION_SEED} and above are evaluation's, below 0 is none; got {config.seed}."
        )
    kept, seeds = [], []
    with (
        MetaWorld(config.task, config.image_size_px, config.render) as env,
        tqdm(total=config.episodes, desc=f"demonstrations of {config.task}", unit="episode") as progress,
    ):
        for seed in range(config.seed, config.seed + attempts):
            episode = demonstrate(env, seed, config.steps_after_success)
            if episode is None:
                continue
            kept.append(episode)
            seeds.append(seed)
            progress.update()
            if len(kept) == config.episodes:
                break
        else:
            raise ValueError(
                f"episodes: the expert of {config.task} succeeded {len(kept)} times in {attempts} attempts, "
                f"{config.episodes} were asked for; ask for fewer, or for whole episodes."
            )
    images, agent_pos, actions = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    origin = {
        "env": "metaworld",
        "task": config.task,
        "render": config.render,
        "image_size_px": config.image_size_px,
        "seeds": seeds,
        "first_seed": config.seed,
        "steps_after_success": config.steps_after_success,
    }
    ends = np.cumsum([len(episode[2]) for episode in kept], dtype=np.int64)
    return Demonstrations(images, agent_pos, actions, ends, origin)


Episode = tuple[np.ndarray, np.ndarray, np.ndarray]
"""images (L, H, W, 3) uint8, agent_pos (L, P) float32, actions (L, A) float32."""


def demonstrate(env: MetaWorld, seed: int, steps_after_success: int | None) -> Episode | None:
    """One episode of the expert, or None if it fails."""
    env.reset(seed)
    images, agent_pos, actions = [], [], []
    solved_steps, remaining = 0, env.episode_steps
    while remaining > 0:
        observation, action = env.observe(), env.expert_action()
        images.append(observation["image"])
        agent_pos.append(observation["agent_pos"])
        actions.append(action)
        remaining -= 1
        if env.step(action):
            solved_steps += 1
            if solved_steps == 1 and steps_after_success is not None:
                remaining = min(remaining, steps_after_success)
    required = 5 if steps_after_success is None else min(5, steps_after_success + 1)
    if solved_steps < required:
        return None
    return np.stack(images), np.stack(agent_pos), np.stack(actions)


def main() -> None:
    """`xdistill demos`."""
    config = tyro.cli(Config, prog="xdistill demos", description="Collect demonstrations from a scripted expert.")
    try:
        require_free(config.output)
        demonstrations = collect(config)
        save_demonstrations(demonstrations, config.output)
    except (ValueError, RenderingError) as error:
        raise SystemExit(f"xdistill demos: {error}") from error
    print(f"{config.episodes} demonstrations, {len(demonstrations.actions)} steps: {config.output}")


if __name__ == "__main__":
    main()
