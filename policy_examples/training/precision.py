"""Decides in which precision a run computes."""

import torch


def computes_bf16(asked: bool | None, device: torch.device) -> bool:
    """What was asked for; None: whether the device computes bfloat16 natively.

    That is, the GPU or the CPU's matrix unit does; elsewhere bfloat16 is slower than float32.
    """
    if asked is not None:
        return asked
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()
