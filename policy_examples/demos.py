"""Collects successful demonstrations from a task's expert."""

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro
from tqdm import tqdm

from policy_examples.attempts import Plan, Source
from policy_examples.collecting import first_successes, read_attempts
from policy_examples.envs.camera import Render, RenderingError
from policy_examples.envs.experts import expert_sha256
from policy_examples.envs.tasks import ACTIONS_PER_SECOND, TaskConfig, suite_of
from policy_examples.formats.episodes import Episodes
from policy_examples.store import Demonstrations, gather, require_free, write_zarr

ATTEMPTS_PER_EPISODE = 20
FIRST_EVALUATION_SEED = 1_000_000
"""Demonstrations use placement seeds below it, evaluation from it on."""


@dataclass(frozen=True)
class Config:
    """Which demonstrations to collect."""

    task: str = "drawer-open"
    """MetaWorld's, without the -v3, or adroit-door, adroit-hammer, adroit-pen."""
    output: Path = Path("demonstrations.zarr")
    """The zarr store to write; a killed collection is kept beside it, and the same command continues it."""
    episodes: int = 10
    """Successful demonstrations to keep."""
    seed: int = 0
    """Placement seed of the first attempt; the following attempts count up."""
    image_size_px: int = 128
    """Height and width of a frame; DP3 has 128 in MetaWorld, 84 in Adroit."""
    render: Render = "reference"
    """`fast` leaves out shadows, multisampling and reflections."""
    points: int | None = None
    """Points of a cloud beside each frame; None records none."""
    steps_after_success: int | None = None
    """Steps kept after the first solved one; None keeps the whole episode, as DP3 does."""
    source: Source = "expert"
    """`minari` replays Minari's D4RL recordings of Adroit's experts; their numbers stand for seeds."""
    experts: Path | None = None
    """Folder of Adroit's experts, door-v0.pickle and so on; None downloads them. MetaWorld's are scripted."""
    processes: int = 1
    """Attempts played at the same time; the demonstrations are the same for any number."""


def collect(config: Config) -> Demonstrations:
    """The demonstrations in memory; nothing is written to `output`.

    Raises:
        ValueError: unknown task, a seed that belongs to evaluation, or an expert that fails too often.
        RenderingError: this machine cannot render without a window.
        ChildProcessError: a process that played died.
    """
    with TemporaryDirectory(prefix="xdistill-demos-") as folder:
        return gather(_play(config, Path(folder)))


def collect_store(config: Config) -> None:
    """Write the demonstrations to `output`; what a killed call left behind is continued to the same store.

    Raises:
        ValueError: as `collect`; the output is taken, or begun with other settings or versions of the simulator.
        RenderingError: this machine cannot render without a window.
    """
    require_free(config.output)
    folder = config.output.with_name(config.output.name + ".collecting")
    write_zarr(_play(config, folder), config.output)
    shutil.rmtree(folder)


def _play(config: Config, folder: Path) -> Episodes:
    for name in ("episodes", "processes", "image_size_px"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: expected 1 or more, got {getattr(config, name)}.")
    for name, least in (("steps_after_success", 0), ("points", 1)):
        value = getattr(config, name)
        if value is not None and value < least:
            raise ValueError(f"{name}: expected {least} or more, or None, got {value}.")
    attempts = ATTEMPTS_PER_EPISODE * config.episodes
    if not 0 <= config.seed < FIRST_EVALUATION_SEED - attempts:
        raise ValueError(
            f"seed: {FIRST_EVALUATION_SEED} and above are evaluation's, below 0 is none; got {config.seed}, from which "
            f"{config.episodes} episodes may take {attempts} attempts."
        )
    suite = suite_of(config.task)
    task = TaskConfig(config.task, config.image_size_px, config.render, config.points)
    plan = Plan(task, config.steps_after_success, config.source, config.experts, versions(config))
    failures = 0
    with tqdm(total=config.episodes, desc=f"demonstrations of {config.task}", unit="episode") as progress:

        def done(success: bool) -> None:
            nonlocal failures
            failures += not success
            progress.set_postfix(failed=failures, refresh=False)
            progress.update(success)

        seeds = range(config.seed, config.seed + attempts)
        successes = first_successes(plan, folder, config.episodes, seeds, config.processes, done)
    numbers = "seeds" if config.source == "expert" else "recordings"
    origin = {
        "env": suite,
        "task": config.task,
        "render": config.render,
        "image_size_px": config.image_size_px,
        "points": config.points,
        "source": config.source,
        "seeds": [],
        "first_seed": config.seed,
        "steps_after_success": config.steps_after_success,
        "fps": ACTIONS_PER_SECOND[suite],
        "versions": plan.versions,
    }
    return read_attempts(folder, successes, {**origin, numbers: successes})


def versions(config: Config) -> dict[str, str]:
    """Of what decides how an attempt goes: installed packages, Adroit's expert by its sha256 where it is at hand."""
    suite = suite_of(config.task)
    simulator = {"metaworld": "metaworld", "adroit": "gymnasium-robotics"}[suite]
    found = {name: version(name) for name in ("mujoco", simulator)}
    if suite == "adroit" and config.source == "expert":
        sha256 = expert_sha256(config.task, config.experts)
        found |= {} if sha256 is None else {"expert": sha256}
    return found


def main() -> None:
    """`xdistill demos`."""
    config = tyro.cli(Config, prog="xdistill demos", description="Collect demonstrations from a task's expert.")
    try:
        collect_store(config)
    except (OSError, ValueError, RenderingError) as error:
        raise SystemExit(f"xdistill demos: {error}") from error
    except KeyboardInterrupt:
        print("\nxdistill demos: stopped; the same command continues.", file=sys.stderr)
        sys.exit(130)
    print(f"{config.episodes} demonstrations: {config.output}")


if __name__ == "__main__":
    main()
