"""Which of several processes this one is, by what torchrun or SLURM say."""

import os
from collections.abc import Mapping
from typing import NamedTuple

LAUNCHERS = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))


class Process(NamedTuple):
    """A process among `count` that share a work.

    Attributes:
        rank: in [0, count).
        local_rank: among those of this machine.
    """

    rank: int
    count: int
    local_rank: int


def this_process(environment: Mapping[str, str] = os.environ) -> Process:
    """From the variables of torchrun, else of SLURM; without them the only one.

    Raises:
        ValueError: variables that are no numbers, or a rank outside the count.
    """
    for names in LAUNCHERS:
        if all(name in environment for name in names[:2]):
            values = [environment.get(name, "0") for name in names]
            told = ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
            if not all(value.isdecimal() for value in values):
                raise ValueError(f"expected numbers in the launcher's variables, got {told}")
            process = Process(*map(int, values))
            if process.rank >= process.count:
                raise ValueError(f"expected a rank below the number of processes, got {told}")
            return process
    return Process(0, 1, 0)
