"""Cuts demonstrations into the windows that a policy learns from."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from policy_examples.store import Demonstrations


class Windows(Dataset):
    """Windows of `horizon` steps that begin To - 1 steps before an episode and end Ta - 1 steps after it.

    Steps before the first repeat it, steps after the last repeat the last, as in Diffusion Policy. Everything stays in
    memory, on the device of `to`; ten demonstrations of 200 steps at 128 px are 100 MB.

    `windows[index]`, an integer or a tensor of B of them, is {"image": (To, 3, H, W) uint8,
    "agent_pos": (To, P) float32, "action": (T, A) float32}, with a leading B for a tensor.
    """

    def __init__(self, demonstrations: Demonstrations, horizon: int, observation_steps: int, action_steps: int) -> None:
        if not observation_steps - 1 + action_steps <= horizon:
            raise ValueError(
                f"horizon: must hold observation_steps - 1 + action_steps = {observation_steps - 1 + action_steps} "
                f"steps, got {horizon}."
            )
        self.images = torch.from_numpy(demonstrations.images).permute(0, 3, 1, 2).contiguous()  # (N, 3, H, W)
        self.agent_pos = torch.from_numpy(demonstrations.agent_pos.astype(np.float32))  # (N, P)
        self.actions = torch.from_numpy(demonstrations.actions.astype(np.float32))  # (N, A)
        self.rows = torch.from_numpy(
            window_rows(demonstrations.episode_ends, horizon, observation_steps - 1, action_steps - 1)
        )  # (windows, T)
        self.observation_steps = observation_steps

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | Tensor) -> dict[str, Tensor]:
        rows = self.rows[index]  # (T,) or (B, T)
        observed = rows[..., : self.observation_steps]
        return {"image": self.images[observed], "agent_pos": self.agent_pos[observed], "action": self.actions[rows]}

    def to(self, device: torch.device) -> "Windows":
        """Move the demonstrations to the device, so that a batch is one gather."""
        for name in ("images", "agent_pos", "actions", "rows"):
            setattr(self, name, getattr(self, name).to(device))
        return self


def window_rows(episode_ends: np.ndarray, horizon: int, pad_before: int, pad_after: int) -> np.ndarray:
    """(windows, horizon) int64: the rows of every window, clamped to the episode it belongs to."""
    windows = []
    for start, end in zip([0, *episode_ends[:-1]], episode_ends, strict=True):
        firsts = np.arange(start - pad_before, end - horizon + pad_after + 1)
        windows.append(np.clip(firsts[:, None] + np.arange(horizon), start, end - 1))
    rows = np.concatenate(windows).astype(np.int64)
    if len(rows) == 0:
        raise ValueError(f"horizon: no episode has room for {horizon} steps, they end at {episode_ends.tolist()}.")
    return rows


def batch_indices(windows: int, batch_size: int, seed: int, step: int) -> Tensor:
    """(batch_size,) int64, a function of its arguments alone, so that a resumed run sees the same batches.

    Every epoch is a fresh permutation whose last, incomplete batch is dropped.
    """
    if windows < batch_size:
        raise ValueError(f"batch_size: {batch_size} is more than the {windows} windows; choose at most {windows}.")
    epoch, batch = divmod(step, windows // batch_size)
    order = np.random.default_rng([seed, epoch]).permutation(windows)
    return torch.from_numpy(order[batch * batch_size : (batch + 1) * batch_size])
