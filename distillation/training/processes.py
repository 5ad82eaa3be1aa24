"""Which of several processes this one is, on what device."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

import torch
from accelerate import Accelerator
from torch import Tensor

LAUNCHERS = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"))
"""Of a step of SLURM, not of its job: salloc's shell is a step of one task within a job of many."""


class Process(NamedTuple):
    """A process among `count` that share a work.

    Attributes:
        rank: in [0, count).
        local_rank: among those of this machine; where nobody tells it the rank, which finds each its own GPU as well.
    """

    rank: int
    count: int
    local_rank: int


def this_process(environment: Mapping[str, str] = os.environ) -> Process:
    """From the variables of torchrun, else of a SLURM step (srun); without them the only one.

    Raises:
        ValueError: variables that are no numbers, or a rank outside the count.
    """
    for names in LAUNCHERS:
        if names[0].startswith("SLURM") and "SLURM_STEP_ID" not in environment:
            continue  # a batch script, which tells of tasks that are not there
        if all(name in environment for name in names[:2]):
            values = [environment.get(name, environment[names[0]]) for name in names]
            told = ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
            if not all(value.isdecimal() for value in values):
                raise ValueError(f"expected numbers in the launcher's variables, got {told}")
            process = Process(*map(int, values))
            if process.rank >= process.count:
                raise ValueError(f"expected a rank below the number of processes, got {told}")
            return process
    return Process(0, 1, 0)


def require_same(accelerator: Accelerator, start: int, folder: Path) -> None:
    """Refuse processes that found different checkpoints, each in a folder of its own machine."""
    starts = cast(Tensor, accelerator.gather(torch.tensor([start], device=accelerator.device)))
    if starts.min() != starts.max():
        raise ValueError(f"output: {folder} is not the same folder for all processes; put it where all see it")


def device_name(device: torch.device) -> str:
    """The GPU's name, or the CPU's and how many of its threads compute."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {cpu_name()}, {torch.get_num_threads()} threads"


def cpu_name() -> str:
    """As Linux tells it; elsewhere, and where it does not, the architecture."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
