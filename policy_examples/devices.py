"""Where a policy computes when nobody says where."""

import torch


def best_device() -> torch.device:
    """The accelerator of this machine, or its CPU."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")
