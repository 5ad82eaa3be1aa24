"""What a policy refuses, and why."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from policy_examples.encoders import PolicyEncoder
from policy_examples.policy_shape import PolicyShape, is_camera, sides


def require_matching(cameras: tuple[str, ...], encoders: Sequence[PolicyEncoder]) -> None:
    """Raise a ValueError for encoders that are too many, too few, or read something else than the cameras show."""
    if len(encoders) not in (1, len(cameras)):
        raise ValueError(f"encoders: expected 1, shared, or one each for {cameras}, got {len(encoders)}.")
    reading = encoders if len(encoders) > 1 else [encoders[0]] * max(1, len(cameras))
    for camera, encoder in zip(cameras or (None,), reading, strict=True):
        shown = "image" if camera is not None and is_camera(camera) else camera
        if shown != encoder.reads:
            raise ValueError(f"cameras: an encoder that reads {encoder.reads or 'nothing'} cannot read {cameras}.")


def require_keys(observation: Mapping[str, object], keys: Sequence[str]) -> None:
    """Raise a ValueError for an observation that lacks one."""
    if any(key not in observation for key in keys):
        raise ValueError(f"observation: expected {', '.join(keys)}, got {', '.join(observation) or 'nothing'}.")


def require_readable(observation: Mapping[str, Tensor], shape: PolicyShape, training: bool) -> None:
    """Raise a ValueError for an observation that lacks a key, or whose axes differ from what the policy learned.

    Args:
        training: frames may be as small as augmentation cuts them.
    """
    keys = (*shape.cameras, "agent_pos")
    require_keys(observation, keys)
    for key in keys:
        if not isinstance(observation[key], Tensor):
            kind = type(observation[key]).__name__
            raise ValueError(f"{key}: expected a torch tensor, got {kind}; torch.as_tensor makes one of an array.")
    found, expected = tuple(observation["agent_pos"].shape), (shape.observation_steps, shape.state_size)
    if found[1:] != expected:
        raise ValueError(f"agent_pos: expected (B, {expected[0]}, {expected[1]}), got {found}.")
    for key in shape.cameras:
        found = tuple(observation[key].shape)
        axes = "3, H, W" if is_camera(key) else "N, 3"
        if len(found) != 2 + len(axes.split(", ")) or found[1] != expected[0]:
            raise ValueError(f"{key}: expected (B, {expected[0]}, {axes}), got {found}.")
    cut = sides(shape.crop_px) if training and shape.crop_px is not None else None  # as an augmentation leaves frames
    for key, size in zip(shape.image_keys, shape.frames_px or (), strict=False):
        found = tuple(observation[key].shape)
        if found[-1] == 3 and found[-3] != 3:
            raise ValueError(
                f"{key}: expected channels first, (B, To, 3, H, W), got {found}; .movedim(-1, -3) does it."
            )
        if found[-2:] not in (size, cut):
            raise ValueError(
                f"{key}: this policy learned from frames of {size[0]} x {size[1]} px, got {found}; render or scale "
                "them to that."
            )


def require_finite_state(agent_pos: Tensor) -> None:
    """Raise a ValueError for NaN or infinity, which would become the actions of every joint."""
    if not bool(agent_pos.isfinite().all()):
        raise ValueError(
            "agent_pos: expected finite numbers, got NaN or infinity; a sensor has failed, or is not read."
        )


def require_generators(
    generators: Sequence[torch.Generator] | torch.Generator | None, rows: int
) -> list[torch.Generator] | torch.Generator | None:
    """As diffusers takes them; raises ValueError for another number than one a row."""
    if generators is None or isinstance(generators, torch.Generator):
        return generators
    if len(generators) != rows:
        raise ValueError(f"generators: expected one for each of {rows} observations, got {len(generators)}.")
    return list(generators)
