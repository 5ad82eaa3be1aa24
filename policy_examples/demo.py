"""From the bundled encoder to a policy that solves a MetaWorld task, on two CPU cores."""

import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import tyro

from policy_examples import demos, rollout, train
from policy_examples.benchmarking.demonstrations import collect_or_check, first_seed
from policy_examples.benchmarking.protocols import PROTOCOLS
from policy_examples.devices import best_device
from policy_examples.encoders import EncoderName, PolicyNorm
from policy_examples.envs.camera import RenderingError
from policy_examples.envs.tasks import TaskConfig, open_environment
from policy_examples.playing import PlayedEpisode
from policy_examples.policy import DiffusionPolicy
from policy_examples.run_lock import sole_run
from policy_examples.video import require_video_writer
from xdistill_encoder.freed_memory import keep_freed_memory

PROTOCOL = PROTOCOLS["cpu"]
"""The benchmark's, whose demonstrations are the demo's too."""


@dataclass(frozen=True)
class Config:
    """What to show."""

    task: str = "drawer-open"
    """MetaWorld's, without the -v3, or adroit-door, adroit-hammer, adroit-pen."""
    seed: int = 0
    """Of demonstrations and training; the evaluation episodes are the same for every seed."""
    output: Path = Path("xdistill-demo")
    """Folder for all results; an interrupted demo found there is continued."""
    encoder: EncoderName = "xdistill"
    """`resnet18-scratch` shows the same without pretraining."""
    checkpoint: str | None = None
    """For xdistill: a bundled name, a folder or a Hub id, None is the bundled one; student, timm: a folder."""
    norm: PolicyNorm | None = None
    """None is `frozen` for xdistill, `group` for resnet18-scratch."""
    steps: int = 600
    """Optimizer steps."""
    episodes: int = 20
    """Evaluation episodes."""
    image_size_px: int | None = None
    """Height and width of a frame; None: 96 in MetaWorld, 84 in Adroit, as in the benchmark."""

    def __post_init__(self) -> None:
        for name in ("steps", "episodes", "image_size_px"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}.")
        if not 0 <= first_seed(self.seed) < demos.FIRST_EVALUATION_SEED:
            most = demos.FIRST_EVALUATION_SEED // first_seed(1) - 1
            raise ValueError(f"seed: expected 0 to {most}, whose demonstrations are not evaluation's, got {self.seed}.")


def run(config: Config) -> float | None:
    """Demonstrations, fine-tuning, evaluation, video; returns the success rate, or None if training was stopped.

    Raises:
        ValueError: the folder holds another demo's results, or an unknown task.
        FloatingPointError: the loss is not finite.
        ChildProcessError: a process died.
        RenderingError: this machine cannot render without a window.
        KeyboardInterrupt: Ctrl-C outside training; the same call continues.
    """
    began = time.monotonic()
    require_video_writer()
    config.output.mkdir(parents=True, exist_ok=True)
    training = train_config(config)
    if train.pretrained(training).reads == "point_cloud":  # an encoder that cannot be had is told before the work
        raise ValueError(
            f"encoder: {config.encoder} reads point clouds, which the demo does not collect; name another."
        )

    print(f"[1/4] {PROTOCOL.demonstrations} demonstrations of {config.task} by its expert", flush=True)
    collect_or_check(demonstrations_config(config))

    print(f"[2/4] fine-tuning {config.encoder} with a diffusion policy head, {training.steps} steps", flush=True)
    if not train.train(training):
        return None

    print(f"[3/4] {config.episodes} episodes with objects placed as in no demonstration", flush=True)
    policy, origin = DiffusionPolicy.load(training.output / "policy")
    policy.to(best_device())
    seeds = range(demos.FIRST_EVALUATION_SEED, demos.FIRST_EVALUATION_SEED + config.episodes)
    rollout.require_unseen(seeds, origin)
    task = TaskConfig(config.task, image_size_px(config), PROTOCOL.render)
    episodes = evaluate(policy, task, seeds, config.output)

    print("[4/4] videos of a solved episode, of a failed one", flush=True)
    with open_environment(task) as env:
        rollout.record(policy, env, episodes, config.output)

    success = rollout.success_rate(episodes)
    report(config, training, success, time.monotonic() - began)
    return success


def evaluate(policy: DiffusionPolicy, task: TaskConfig, seeds: range, folder: Path) -> list[PlayedEpisode]:
    """An episode per seed, but for those that the folder has already; its policy is this one.

    Raises:
        ValueError: episodes of another policy lie there.
    """
    # Without the number of episodes, which decides none of them: a demo may be asked for more.
    facts = {"policy": rollout.fingerprint(folder / "policy"), **asdict(task), "seed": seeds.start}
    played, log = rollout.played_before(folder, facts), folder / "episodes.partial"
    episodes = rollout.evaluate(policy, task, seeds, log=log, played=played)
    if log.exists():
        log.rename(folder / "episodes.jsonl")
    return episodes


def train_config(config: Config) -> train.Config:
    """The CPU preset on this demo's demonstrations."""
    return replace(
        train.PRESETS["cpu"],
        demos=config.output / "demonstrations.zarr",
        output=config.output,
        encoder=config.encoder,
        checkpoint=config.checkpoint,
        norm=config.norm,
        steps=config.steps,
        seed=config.seed,
    )


def demonstrations_config(config: Config) -> demos.Config:
    """The demonstrations of this demo; those of a task whose success is judged at the end are whole episodes."""
    return demos.Config(
        task=config.task,
        output=train_config(config).demos,
        episodes=PROTOCOL.demonstrations,
        seed=first_seed(config.seed),
        image_size_px=image_size_px(config),
        render=PROTOCOL.render,
        steps_after_success=PROTOCOL.cut(config.task),
    )


def image_size_px(config: Config) -> int:
    """Side of the frames."""
    return config.image_size_px or PROTOCOL.image_size_px(config.task)


def report(config: Config, training: train.Config, success: float, seconds: float) -> None:
    """Say what came out, then where it lies."""
    print(f"\nsuccess: {success:.0%} of {config.episodes} episodes, {seconds / 60:.1f} minutes in all\n")
    print(f"results in {config.output.resolve()}:")
    files = {
        "success.mp4": "a solved evaluation episode",
        "failure.mp4": "a failed one",
        "learning_curve.png": "denoising error over training",
        "episodes.jsonl": "every evaluation episode: seed, success, steps",
        "policy/": "the policy, for `xdistill rollout --policy`",
        training.demos.name + "/": "the demonstrations",
    }
    for name, meaning in files.items():
        if (config.output / name).exists():
            print(f"  {name:<22} {meaning}")


def main() -> None:
    """`xdistill demo`."""
    keep_freed_memory()
    try:
        config = tyro.cli(
            Config, prog="xdistill demo", description="Encoder to working policy: minutes to hours on two CPU cores."
        )
        with sole_run(config.output):
            success = run(config)
    except (ValueError, OSError, FloatingPointError, ChildProcessError, RenderingError) as error:
        raise SystemExit(f"xdistill demo: {error}") from error
    except KeyboardInterrupt:
        success = None
    if success is None:
        print("\nxdistill demo: stopped; the same command continues.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
