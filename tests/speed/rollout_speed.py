"""Compare rollouts with rendering every step, then time demonstrations, on one machine.

    python tests/speed/rollout_speed.py

prints each comparison, then appends it to policy_examples/results/speed.csv. `peer` and `ours` are actions played per
second, the policy's thinking included, unless the row names another unit; `ratio` is ours / peer. The policy has the
sizes of the CPU preset with random weights, so that episodes of pick-place last to their end. Contenders take turns,
what starts them does not count: a first episode each is played before.
"""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from bench_rows import Row, append

from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.encoders import load_encoder
from policy_examples.envs.camera import Render
from policy_examples.envs.contract import Observation
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.tasks import TaskConfig
from policy_examples.envs.vector import open_vector
from policy_examples.playing import PlayedEpisode, interface_of, play, play_all
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.train import PRESETS

SCRIPT = "rollout_speed.py"
CSV = Path(__file__).resolve().parents[2] / "policy_examples" / "results" / "speed.csv"
ROOT = Path(__file__).resolve().parents[2]
PEER = "every step rendered at the reference setting, one process"
Part = Literal["rollouts", "demonstrations"]


@dataclass(frozen=True)
class Bench:
    """What is measured, for how long; the defaults suit two cores."""

    parts: tuple[Part, ...] = ("rollouts", "demonstrations")
    """Which comparisons."""
    task: str = "pick-place"
    """Of the rollouts; a policy that knows nothing must fail in it."""
    image_size_px: int = 96
    """Height and width of a frame."""
    processes: int = os.cpu_count() or 1
    """Environments side by side, for what is ours."""
    episodes: int = 4
    """Of a contender's turn, a multiple of the processes."""
    rounds: int = 3
    """Turns of each contender; the median counts."""
    csv: Path = CSV
    """File that rows are appended to."""

    def __post_init__(self):
        if self.episodes % self.processes:
            raise ValueError(f"episodes: expected a multiple of processes {self.processes}, got {self.episodes}")


class EveryStep(MetaWorld):
    """The peer: a frame at each step, whether or not it is read."""

    def reset(self, seed: int) -> None:
        super().reset(seed)
        self._seen = super().observe()

    def step(self, action: np.ndarray) -> bool:
        solved = super().step(action)
        self._seen = super().observe()
        return solved

    def observe(self) -> Observation:
        return self._seen


def compare_rollouts(bench: Bench) -> Iterator[Row]:
    """Actions per second of evaluations that differ in what they render, and where."""
    policy = random_policy()
    seeds = range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + bench.episodes)
    rates: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as opened:
        every_step = opened.enter_context(EveryStep(bench.task, bench.image_size_px, "reference"))
        contenders = {PEER: lambda: [play(policy, every_step, seed) for seed in seeds]}
        settings: list[tuple[Render, int]] = [("reference", 1), ("fast", 1), ("fast", bench.processes)]
        for render, processes in settings:
            what = f"frames that are read, {render} setting, {processes} process{'es' * (processes > 1)}"
            contenders[what] = opened.enter_context(ours(bench, policy, render, processes, seeds))
        for name, contender in contenders.items():
            print(f"{name}: {actions_per_second(contender):.1f} actions/s, first turn, not counted", flush=True)
        for _ in range(bench.rounds):
            for name, contender in contenders.items():
                rates[name].append(actions_per_second(contender))
    rate = {name: statistics.median(values) for name, values in rates.items()}
    for name in list(rate)[1:]:
        yield Row(f"{name} / {PEER}", rate[PEER], rate[name])


@contextmanager
def ours(
    bench: Bench, policy: DiffusionPolicy, render: Render, processes: int, seeds: range
) -> Iterator[Callable[[], list[PlayedEpisode]]]:
    """What plays the seeds as `evaluate` does, in environments that are open already."""
    task = TaskConfig(bench.task, bench.image_size_px, render)
    with open_vector(task, interface_of(policy), processes) as vector:
        yield lambda: list(play_all(policy, vector, seeds))


def random_policy() -> DiffusionPolicy:
    """The sizes of the CPU preset; weights make no difference to its speed."""
    preset = PRESETS["cpu"]
    shape = PolicyShape(
        state_size=9,
        action_size=4,
        horizon=preset.horizon,
        observation_steps=preset.observation_steps,
        action_steps=preset.action_steps,
        channels=preset.channels,
    )
    torch.manual_seed(0)
    policy = DiffusionPolicy(shape, [load_encoder("resnet18-scratch")]).eval()
    return policy.to("cuda" if torch.cuda.is_available() else "cpu")


def actions_per_second(contender: Callable[[], list[PlayedEpisode]]) -> float:
    """Of one turn.

    Raises:
        ValueError: an episode was solved, so that contenders played different numbers of actions.
    """
    start = time.perf_counter()
    episodes = contender()
    seconds = time.perf_counter() - start
    if any(episode.success for episode in episodes):
        raise ValueError("task: expected one that a random policy fails in; give another")
    return sum(episode.steps for episode in episodes) / seconds


def time_demonstrations(bench: Bench) -> Iterator[Row]:
    """Seconds from the start of `xdistill demos` to its end."""
    settings = ["--task", "drawer-open", "--episodes", "10", "--render", "fast", "--processes", str(bench.processes)]
    with tempfile.TemporaryDirectory(prefix="rollout-speed-") as folder:
        start = time.perf_counter()
        options = [*settings, "--output", f"{folder}/demonstrations.zarr"]
        subprocess.run([sys.executable, "-m", "policy_examples.demos", *options], cwd=ROOT, check=True)
        yield Row(f"xdistill demos {shlex.join(settings)}, s", None, time.perf_counter() - start)


def main() -> None:
    """Read the command line; measure part after part."""
    try:
        bench = tyro.cli(Bench, description=(__doc__ or "").partition("\n")[0])
        if "rollouts" in bench.parts:
            append(bench.csv, SCRIPT, compare_rollouts(bench))
        if "demonstrations" in bench.parts:
            append(bench.csv, SCRIPT, time_demonstrations(bench))
    except ValueError as error:
        raise SystemExit(f"rollout_speed: {error}") from error


if __name__ == "__main__":
    main()
