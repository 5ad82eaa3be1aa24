"""Compare the speed of policy training with LeRobot's, and time a policy's decisions, on one machine.

    LEROBOT_PYTHON=ENV/bin/python python tests/speed/policy_speed.py

prints each comparison, then appends it to policy_examples/results/speed.csv. `peer` and `ours` are windows per second
unless the row names another unit; `ratio` is ours / peer. Sizes are those of LeRobot's `DiffusionPolicy` by default:
T / To / Ta 16 / 2 / 8, UNet 512, 1024, 2048, ResNet-18 with group norm, frames of 84 px cropped to 76, batch 64. Ours
is what `xdistill finetune` does, with batches, crops, the average of the weights; theirs is forward, backward,
optimizer (peers/lerobot_step.py). Theirs has 263 M parameters, ours 289 M: it reads 512 features a frame where theirs
reads 64. The contenders take turns, each in a process of its own; first steps do not count.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from bench_rows import Row, append

from policy_examples.latency import made_up_observation, measure
from policy_examples.store import Demonstrations, save_demonstrations
from policy_examples.train import PRESETS, build_policy

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "policy_speed.py"
CSV = ROOT / "policy_examples" / "results" / "speed.csv"
PEER = Path(__file__).resolve().parent / "peers" / "lerobot_step.py"
STATE_SIZE, ACTION_SIZE, FRAME_PX, CROP_PX = 9, 4, 84, 76
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Bench:
    """What is measured, for how long."""

    lerobot_python: Path | None = None
    """Python of an environment that holds lerobot 0.4.4; None: $LEROBOT_PYTHON, without it steps have no peer."""
    parts: tuple[Literal["step", "chunk"], ...] = ("step", "chunk")
    """Training steps beside LeRobot's; decisions of an untrained policy of the same sizes."""
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    """Of the steps."""
    batch_size: int = 64
    """Windows a step."""
    rounds: int = 2
    """Turns of each contender; the median counts."""
    steps: int = 6
    """Steps of a turn."""
    skip: int = 2
    """First steps, which do not count."""
    chunks: int = 20
    """Decisions that are timed."""
    presets: tuple[Literal["cpu", "dp3", "dp3-paper"], ...] = ("cpu", "dp3", "dp3-paper")
    """Sizes of the policies that decide."""
    compiled_chunks: bool = True
    """Time decisions through torch.compile too."""
    compile: bool = False
    """Train ours through torch.compile."""
    csv: Path = CSV
    """File that rows are appended to."""

    def __post_init__(self):
        if self.steps <= self.skip:
            raise ValueError(f"steps: expected more than skip {self.skip}, got {self.steps}")


def compare_steps(bench: Bench, work: Path) -> Iterator[Row]:
    """Windows per second of training, ours beside LeRobot's."""
    lerobot = bench.lerobot_python or os.environ.get("LEROBOT_PYTHON")
    if lerobot is None:
        print("steps without a peer: LEROBOT_PYTHON names no Python that has lerobot", flush=True)
    for precision in bench.precisions:
        ours, theirs, version = [], [], ""
        for turn in range(bench.rounds):
            if lerobot is not None:
                seen = lerobot_step(Path(lerobot), bench, precision)
                version = str(seen["version"])
                theirs.append(bench.batch_size / statistics.median(seen["seconds_per_step"][bench.skip :]))
                print(f"{precision}: LeRobot {theirs[-1]:.3g} windows/s", flush=True)
            rates = our_steps(bench, precision, work / f"{precision}-{turn}")
            ours.append(bench.batch_size * statistics.median(rates[bench.skip :]))
            print(f"{precision}: ours {ours[-1]:.3g} windows/s", flush=True)
        beside = f" / LeRobot {version} DiffusionPolicy" if theirs else ""
        settings = f"batch {bench.batch_size}, {precision}{', compiled' * bench.compile}"
        what = f"training step{beside}, 16 / 2 / 8, {FRAME_PX} -> {CROP_PX} px; {settings}"
        yield Row(what, statistics.median(theirs) if theirs else None, statistics.median(ours))


def lerobot_step(python: Path, bench: Bench, precision: Precision) -> dict:
    """What peers/lerobot_step.py prints last; raises RuntimeError with the end of its output where it failed."""
    command = [str(python), str(PEER), "--batch-size", str(bench.batch_size), "--steps", str(bench.steps)]
    command += ["--image-size", str(FRAME_PX), "--crop", str(CROP_PX)]
    command += ["--state-size", str(STATE_SIZE), "--action-size", str(ACTION_SIZE), *["--bf16"] * (precision == "bf16")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"LeRobot ended with status {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def our_steps(bench: Bench, precision: Precision, output: Path) -> list[float]:
    """Steps per second of `xdistill finetune`, one number a step; it is killed before it would save gigabytes.

    Raises:
        RuntimeError: it failed; the message holds the end of what it printed.
    """
    command = [
        sys.executable,
        "-m",
        "policy_examples.train",
        "--preset",
        "dp3",
        "--demos",
        str(output.parent / "demos.zarr"),
    ]
    command += ["--output", str(output), "--encoder", "resnet18-scratch", "--crop-px", str(CROP_PX)]
    command += ["--batch-size", str(bench.batch_size), "--bf16", str(precision == "bf16"), "--log-every", "1"]
    command += ["--save-every", "1000000", *["--compile"] * bench.compile]
    log, printed = output / "log.jsonl", output.with_suffix(".txt")
    with printed.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
        try:
            while process.poll() is None and len(read_lines(log)) < bench.steps:
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
    if len(read_lines(log)) < bench.steps:
        raise RuntimeError(f"xdistill finetune failed:\n{printed.read_text(errors='replace')[-3000:]}")
    return [line["steps_per_second"] for line in read_lines(log)]


def read_lines(log: Path) -> list[dict[str, float]]:
    """The complete lines of a log that may be growing, or not there yet."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def time_chunks(bench: Bench, work: Path) -> Iterator[Row]:
    """Milliseconds of a decision, by preset, without and with torch.compile."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    demonstrations = made_up_demonstrations(episodes=2)
    for preset in bench.presets:
        for compiled in (False, True) if bench.compiled_chunks else (False,):
            config = replace(PRESETS[preset], encoder="resnet18-scratch", demos=work / "demos.zarr")
            policy = build_policy(config, demonstrations).eval().to(device)
            if compiled:
                policy.compile_networks()
            latency = measure(policy, made_up_observation(policy, {"image_size_px": FRAME_PX}), bench.chunks, warmup=3)
            sizes = f"preset {preset}, {FRAME_PX} px{', compiled' * compiled}; {device.type}, fp32"
            yield Row(f"action chunk of {latency.action_steps}, median ms, {sizes}", None, latency.median_ms)
            yield Row(f"action chunk of {latency.action_steps}, p95 ms, {sizes}", None, latency.p95_ms)
            yield Row(f"control, Hz, {sizes}", None, latency.control_hz)


def made_up_demonstrations(episodes: int) -> Demonstrations:
    """Noise in the sizes of the bench, 100 steps an episode."""
    random, steps = np.random.default_rng(0), 100 * episodes
    return Demonstrations(
        images=random.integers(0, 256, (steps, FRAME_PX, FRAME_PX, 3), dtype=np.uint8),
        agent_pos=random.normal(size=(steps, STATE_SIZE)).astype(np.float32),
        actions=random.uniform(-1, 1, (steps, ACTION_SIZE)).astype(np.float32),
        episode_ends=np.arange(100, steps + 1, 100),
    )


def main() -> None:
    """Read the command line; measure part after part."""
    try:
        bench = tyro.cli(Bench, description=(__doc__ or "").partition("\n")[0])
    except ValueError as error:
        raise SystemExit(f"policy_speed: {error}") from error
    with tempfile.TemporaryDirectory(prefix="policy-speed-") as temporary:
        work = Path(temporary)
        save_demonstrations(made_up_demonstrations(episodes=4), work / "demos.zarr")
        if "step" in bench.parts:
            append(bench.csv, SCRIPT, compare_steps(bench, work))
        if "chunk" in bench.parts:
            append(bench.csv, SCRIPT, time_chunks(bench, work))


if __name__ == "__main__":
    main()
