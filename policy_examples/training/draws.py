"""What a step of training draws at random."""

import numpy as np
import torch

HIGHEST_SEED = 2**32 - 1
"""The largest seed that torch's generator of the CPU tells from all others; it overlooks higher bits."""


def generator_of(seed: int, step: int) -> torch.Generator:
    """The CPU generator of a step's noise and augmentation, a function of both alone, so that runs resume exactly."""
    (mixed,) = np.random.SeedSequence([seed, step]).generate_state(1)  # 32 bits, which are all that torch reads
    return torch.Generator().manual_seed(int(mixed))
