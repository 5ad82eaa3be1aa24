"""Cuts demonstrations into the windows that a policy learns from."""

import zlib

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from policy_examples.formats.episodes import named_keys
from policy_examples.policy_shape import is_camera
from policy_examples.store import Demonstrations


class Windows(Dataset):
    """Windows of `horizon` steps that begin To - 1 steps before an episode and end Ta - 1 steps after it.

    Steps before the first repeat it, steps after the last repeat the last, as in Diffusion Policy. What is read stays
    in memory, on the device of `to`; ten demonstrations of 200 steps at 128 px are 100 MB.

    `windows[index]`, an integer or a tensor of B of them, is {"image" and further cameras: (To, 3, H, W) uint8,
    "point_cloud": (To, N, 3) float32, "agent_pos": (To, P) float32, "action": (T, A) float32}, as far as `reads` names
    them, with a leading B for a tensor. Images are channels last in memory.
    """

    def __init__(
        self,
        demonstrations: Demonstrations,
        horizon: int,
        observation_steps: int,
        action_steps: int,
        reads: tuple[str, ...] = ("image", "agent_pos"),
    ) -> None:
        self.observed = {key: torch.from_numpy(observed_array(demonstrations, key)) for key in reads}
        self.actions = torch.from_numpy(demonstrations.actions.astype(np.float32))  # (N, A)
        self.rows = torch.from_numpy(
            window_rows(demonstrations.episode_ends, horizon, observation_steps - 1, action_steps - 1)
        )  # (windows, T)
        self.observation_steps = observation_steps

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | Tensor) -> dict[str, Tensor]:
        rows = self.rows[index]  # (T,) or (B, T)
        frames = rows[..., : self.observation_steps]
        window = {key: values[frames] for key, values in self.observed.items()}
        for key in window:
            if is_camera(key):
                window[key] = window[key].movedim(-1, -3)  # (B, To, 3, H, W), a view
        return {**window, "action": self.actions[rows]}

    @property
    def nbytes(self) -> int:
        """Of the demonstrations, which lie in memory, on the device."""
        return sum(values.nbytes for values in (self.actions, *self.observed.values()))

    def fingerprint(self) -> int:
        """A number that other demonstrations, or another way to cut them, do not share."""
        checksum = zlib.crc32(self.rows.cpu().numpy().tobytes())
        for values in (self.actions, *self.observed.values()):
            checksum = zlib.crc32(values.cpu().numpy().data, checksum)
        return checksum

    def to(self, device: torch.device) -> "Windows":
        """Move the demonstrations to the device, so that a batch is one gather."""
        self.observed = {key: values.to(device) for key, values in self.observed.items()}
        self.actions, self.rows = self.actions.to(device), self.rows.to(device)
        return self


def observed_array(demonstrations: Demonstrations, key: str) -> np.ndarray:
    """(N, ...) as it is stored: images (N, H, W, 3) uint8, points (N, points, 3) or agent_pos (N, P) float32.

    Raises:
        ValueError: the demonstrations lack it; names what they have.
    """
    present: dict[str, np.ndarray | None] = {
        "image": demonstrations.images,
        **{f"image_{name}": images for name, images in demonstrations.cameras.items()},
        "point_cloud": demonstrations.point_clouds,
        "agent_pos": demonstrations.agent_pos,
    }
    found = present.get(key)
    if found is None:
        known = named_keys(demonstrations.origin, [name for name, values in present.items() if values is not None])
        raise ValueError(f"cameras: these demonstrations have {known}; got {key!r}.")
    return found if is_camera(key) else found.astype(np.float32)


def window_rows(episode_ends: np.ndarray, horizon: int, pad_before: int, pad_after: int) -> np.ndarray:
    """(windows, horizon) int64: the rows of every window, clamped to the episode it belongs to.

    Raises:
        ValueError: an episode is too short to hold one window; names it.
    """
    windows = []
    for number, (start, end) in enumerate(zip([0, *episode_ends[:-1]], episode_ends, strict=True)):
        if end - start + pad_before + pad_after < horizon:
            raise ValueError(
                f"horizon: episode {number} has {end - start} steps, a window of {horizon} needs "
                f"{horizon - pad_before - pad_after}; take a shorter --horizon, or leave the "
                f"episode out: --selection.skip-episodes {number}."
            )
        firsts = np.arange(start - pad_before, end - horizon + pad_after + 1)
        windows.append(np.clip(firsts[:, None] + np.arange(horizon), start, end - 1))
    return np.concatenate(windows).astype(np.int64)


def count_windows(episode_ends: np.ndarray, horizon: int, observation_steps: int, action_steps: int) -> int:
    """How many `Windows` are cut; raises ValueError where an episode is too short for one."""
    return len(window_rows(episode_ends, horizon, observation_steps - 1, action_steps - 1))


def steps_per_epoch(windows: int, batch_size: int) -> int:
    """Whole batches in one pass; raises ValueError where there is none."""
    if windows < batch_size:
        raise ValueError(
            f"batch_size: {batch_size} is more than the {windows} windows; choose --batch-size {windows} or less."
        )
    return windows // batch_size


def batch_indices(windows: int, batch_size: int, seed: int, step: int) -> Tensor:
    """(batch_size,) int64, a function of its arguments alone, so that a resumed run sees the same batches.

    Every epoch is a fresh permutation whose last, incomplete batch is dropped.
    """
    epoch, batch = divmod(step, steps_per_epoch(windows, batch_size))
    order = np.random.default_rng([seed, epoch]).permutation(windows)
    return torch.from_numpy(order[batch * batch_size : (batch + 1) * batch_size])
