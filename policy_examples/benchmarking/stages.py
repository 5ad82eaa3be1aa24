"""The stages of a run: demonstrations, training, film."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from policy_examples import demos, rollout, train
from policy_examples.benchmarking.demonstrations import collect_or_check, first_seed, require_own_placements
from policy_examples.benchmarking.protocols import PROTOCOLS
from policy_examples.benchmarking.runs import BATCH_NORM_TRAP, Run
from policy_examples.devices import best_device
from policy_examples.envs.tasks import open_environment
from policy_examples.policy import DiffusionPolicy
from policy_examples.store import open_demonstrations
from policy_examples.windows import steps_per_epoch, window_rows


def collect_once(run: Run, store: Path, points: bool, processes: int, experts: Path | None) -> None:
    """Collect the demonstrations, unless another run of the same task and seed did; waits for one that does.

    Raises:
        ValueError: those that are there are not what this run asks for.
    """
    from filelock import FileLock

    protocol = PROTOCOLS[run.preset]
    store.parent.mkdir(parents=True, exist_ok=True)
    asked = demos.Config(
        task=run.task,
        output=store,
        episodes=run.demonstrations or protocol.demonstrations,
        seed=first_seed(run.draw),
        image_size_px=protocol.image_size_px(run.task),
        render=protocol.render,
        points=protocol.points if points else None,
        steps_after_success=protocol.cut(run.task),
        experts=experts,
        processes=processes,
    )
    with FileLock(store.with_suffix(".lock")):
        collect_or_check(asked)
    require_own_placements(store, run.draw)


def train_config(run: Run, store: Path, output: Path, processes: int) -> train.Config:
    """The preset's training on this run's demonstrations, which must be there."""
    protocol = PROTOCOLS[run.preset]
    choice: dict[str, Any] = {"encoder": run.encoder.name, "checkpoint": run.encoder.checkpoint}
    trap = run.encoder.norm == BATCH_NORM_TRAP
    choice |= {"norm": "batch" if trap else run.encoder.norm, "show_batch_norm_trap": trap}
    choice |= {"readout": run.encoder.readout, "bf16": begun_precision(output) if run.bf16 is None else run.bf16}
    choice |= {"encoder_lr_multiplier": run.encoder.lr} if run.encoder.lr else {"freeze_encoder": True}
    training = replace(
        train.PRESETS[protocol.training],
        **choice,
        demos=store,
        output=output,
        seed=run.draw,
        eval_episodes=protocol.episodes,
        eval_processes=processes,
    )
    steps = run.steps or protocol.steps
    if steps is not None:
        training = replace(training, epochs=None, steps=steps)
    every = protocol.eval_every_epochs
    if every is None:
        every = -(-total_steps(training) // (epoch_steps(training) * (protocol.evaluations or 1)))  # rounded up
    return replace(training, eval_every_epochs=every)


def begun_precision(output: Path) -> bool | None:
    """Whether the run that lies there computes in bfloat16, on whichever machine it began; None: there is none."""
    config = output / "config.json"
    return json.loads(config.read_text())["config"]["bf16"] if config.exists() else None


def epoch_steps(training: train.Config) -> int:
    """Optimizer steps of an epoch."""
    ends = open_demonstrations(training.demos).episode_ends
    windows = window_rows(ends, training.horizon, training.observation_steps - 1, training.action_steps - 1)
    return steps_per_epoch(len(windows), training.batch_size)


def total_steps(training: train.Config) -> int:
    """Optimizer steps of the whole training."""
    return training.steps or (training.epochs or 0) * epoch_steps(training)


def load_policy(folder: Path) -> DiffusionPolicy:
    """The policy of a finished training, where it computes fastest."""
    policy, _ = DiffusionPolicy.load(folder / "policy")
    return policy.to(best_device())


def film(run: Run, policy: DiffusionPolicy, folder: Path) -> None:
    """Write success.mp4 and failure.mp4 of the last evaluation's episodes, as far as it had such."""
    raw = max(folder.glob("episodes-*.jsonl"), key=lambda path: int(path.stem.removeprefix("episodes-")))
    episodes = [rollout.PlayedEpisode(**json.loads(line)) for line in raw.read_text().splitlines()]
    with open_environment(PROTOCOLS[run.preset].scene(run.task, "point_cloud" in policy.reads)) as env:
        rollout.record(policy, env, episodes, folder)
