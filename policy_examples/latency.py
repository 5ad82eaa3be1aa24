"""Measures how long a policy takes to decide on its next actions."""

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import is_camera

IMAGE_SIZE_PX, POINTS = 128, 512
"""Of observations whose demonstrations do not say it: DP3's."""


@dataclass(frozen=True)
class Config:
    """Which policy to time, how often."""

    policy: Path = Path("run/policy")
    """The folder that `xdistill finetune` wrote."""
    chunks: int = 50
    """Action chunks that are timed."""
    warmup: int = 5
    """Chunks before them; the first compiles."""
    threads: int | None = None
    """CPU threads; None is torch's choice."""
    compile: bool = True
    """Measure through torch.compile too; needs a C++ compiler."""

    def __post_init__(self) -> None:
        for name in ("chunks", "warmup"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}.")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads: expected 1 or more, or None, got {self.threads}.")


@dataclass(frozen=True)
class Latency:
    """Time of one action chunk, from an observation in memory to actions in memory."""

    median_ms: float
    p95_ms: float
    """Within which 95 of 100 chunks are decided."""
    action_steps: int
    """Ta: actions in a chunk."""

    @property
    def control_hz(self) -> float:
        """Actions a second at most: the policy decides on the next chunk while the last one is executed.

        Where it waits until a chunk is executed, the time of executing adds to that of deciding.
        """
        return 1000 * self.action_steps / self.median_ms

    def __str__(self) -> str:
        times = f"{self.median_ms:.1f} ms per chunk of {self.action_steps} actions (p95 {self.p95_ms:.1f} ms)"
        return f"{times}, at most {self.control_hz:.0f} Hz of control, deciding while acting"


def measure(policy: DiffusionPolicy, observation: dict[str, Tensor], chunks: int, warmup: int) -> Latency:
    """Time `chunks` decisions, after `warmup` that do not count, on the device of the policy.

    Args:
        observation: on the CPU; its way to the device counts.
    """
    device = next(policy.parameters()).device
    times_ms = []
    for _ in range(warmup + chunks):
        began = time.perf_counter()
        policy.predict_action({key: values.to(device) for key, values in observation.items()}).cpu()
        times_ms.append(1000 * (time.perf_counter() - began))
    ranked = sorted(times_ms[warmup:])
    p95 = ranked[math.ceil(0.95 * len(ranked)) - 1]
    return Latency(statistics.median(ranked), p95, policy.shape.action_steps)


def made_up_observation(policy: DiffusionPolicy, origin: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """What the policy reads, one row, noise in the sizes that it learned from."""
    frames, generator = policy.shape.observation_steps, torch.Generator().manual_seed(seed)
    square = (origin.get("image_size_px") or IMAGE_SIZE_PX,) * 2
    sizes = dict(zip(policy.shape.image_keys, policy.shape.frames_px or (), strict=False))
    observation = {"agent_pos": policy.agent_pos.low.cpu().expand(1, frames, -1)}
    for key in policy.shape.cameras:
        if is_camera(key):
            size = (1, frames, *sizes.get(key, square), 3)
            pixels = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
            observation[key] = pixels.movedim(-1, -3)
        else:
            observation[key] = torch.rand(1, frames, origin.get("points") or POINTS, 3, generator=generator)
    return observation


def run(config: Config) -> None:
    """Print a line for each device, without and with torch.compile.

    Raises:
        ValueError: no policy there, or torch.compile fails.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        for compiled in (False, True) if config.compile else (False,):
            policy, origin = DiffusionPolicy.load(config.policy)
            policy.to(device)
            latency = timed(policy, made_up_observation(policy, origin), compiled, config)
            name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
            print(f"{name}, {'torch.compile' if compiled else 'eager'}: {latency}", flush=True)


def timed(policy: DiffusionPolicy, observation: dict[str, Tensor], compiled: bool, config: Config) -> Latency:
    """The latency of one line; raises ValueError where torch.compile fails, as without a C++ compiler."""
    if not compiled:
        return measure(policy, observation, config.chunks, config.warmup)
    policy.compile_networks()
    try:
        return measure(policy, observation, config.chunks, config.warmup)
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"compile: torch.compile failed ({reason}); leave it out with --no-compile.") from error


def main() -> None:
    """`xdistill latency`."""
    try:
        run(tyro.cli(Config, prog="xdistill latency", description="Time a policy's decisions."))
    except ValueError as error:
        raise SystemExit(f"xdistill latency: {error}") from error


if __name__ == "__main__":
    main()
