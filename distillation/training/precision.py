"""In which number format forward passes run."""

from typing import Literal

import torch

Precision = Literal["auto", "bf16", "fp16", "no"]


def resolve_precision(asked: Precision) -> str:
    """ "auto" -> "bf16" where the GPU, or the CPU's matrix unit, computes it natively; elsewhere it is slower: "no"."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "no"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a forward pass runs in `precision`: "bf16", "fp16" or "no"."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "no")
