"""Maps of where in its newest frame a policy's answer comes from.

Grad-CAM (arXiv 1610.02391, equations 1, 2) is computed here, not by the package `grad-cam`, whose `BaseCAM` stretches
every map to [0, 1] by taking its minimum away, so that no share of it can be stated; it also asks for a classifier of
one tensor, gradients of all weights, OpenCV. A test holds the maps against it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from policy_examples.explain.attribution.feature_maps import last_map
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import sides

Method = Literal["grad-cam", "input-gradient"]


@dataclass(frozen=True)
class Target:
    """The number whose gradient is taken, a mean over some noises that are the same for every frame."""

    of: Literal["action", "loss"] = "action"
    """`action`: size of the actions that the policy would execute. `loss`: the denoising error of given actions."""
    dimension: int | None = None
    """Of an action, for `action`; None sums over all."""
    noises: int = 4
    """For `loss` each at a timestep of its own, spread evenly over all of them."""
    seed: int = 0
    """Of the noises."""

    def __post_init__(self) -> None:
        if self.noises < 1:
            raise ValueError(f"noises: expected 1 or more, got {self.noises}.")
        if self.dimension is not None and (self.of != "action" or self.dimension < 0):
            raise ValueError(
                f"action_dimension: expected one of an action, from 0 up, with target 'action', got {self.dimension} "
                f"with target {self.of!r}."
            )


@dataclass(frozen=True)
class Moment:
    """What a policy sees at one step, one row of a batch."""

    cameras: dict[str, Tensor]
    """Observation key of each camera that the policy reads -> (1, To, 3, H, W) float32 in [0, 1], RGB."""
    agent_pos: Tensor
    """(1, To, P)."""
    actions: Tensor
    """(1, T, A) in the data's units, those that `loss` is about."""


def saliency_maps(
    policy: DiffusionPolicy, moment: Moment, target: Target, methods: tuple[Method, ...], camera: str = "image"
) -> dict[Method, np.ndarray]:
    """Maps of a camera's newest frame, each (H, W) float32, 0 or above, in one backward pass.

    A map is 0 everywhere where the answer does not depend on the image, as where every action is clipped.

    Args:
        policy: in eval mode, one that reads cameras alone, and this one among them.

    Raises:
        ValueError: Grad-CAM of an encoder without a map.
    """
    place = policy.shape.cameras.index(camera)
    found = last_map(policy.encoder_of(place)) if "grad-cam" in methods else None
    pixels, kept = moment.cameras[camera].detach().clone().requires_grad_(), []
    handle = found.layer.register_forward_hook(lambda _, __, outputs: kept.append(outputs)) if found else None
    try:
        condition = policy.condition({**moment.cameras, camera: pixels, "agent_pos": moment.agent_pos})
    finally:
        if handle:
            handle.remove()
    if len(policy.encoders) == 1:
        kept = kept[place : place + 1]  # a shared encoder ran once a camera
    on_pixels, *on_layer = torch.autograd.grad(score(policy, condition, moment.actions, target), [pixels, *kept])
    maps: dict[Method, np.ndarray] = {}
    for method in methods:
        if method == "input-gradient":
            values = input_gradient(on_pixels[0, -1:])
        else:
            assert found is not None
            activations, gradients = (found.as_map(frames[-1:].detach()) for frames in (kept[0], on_layer[0]))
            seen = None if policy.shape.crop_px is None else sides(policy.shape.crop_px)
            values = spread(grad_cam(activations, gradients), pixels.shape[-2:], seen)
        maps[method] = values[0].float().cpu().numpy()
    return maps


def score(policy: DiffusionPolicy, condition: Tensor, actions: Tensor, target: Target) -> Tensor:
    """The target, a scalar that depends on the condition (1, C); actions (1, T, A) in the data's units."""
    if target.of == "loss":
        return denoising_error(policy, condition, actions, target)
    noise, generator = draw(policy, target)
    conditions = condition.expand(target.noises, -1)
    chunks = policy.denoise(noise.to(condition.device), conditions, generator)  # (noises, Ta, A)
    chosen = chunks if target.dimension is None else chunks[..., target.dimension : target.dimension + 1]
    return chosen.abs().sum(dim=-1).mean()


def denoising_error(policy: DiffusionPolicy, condition: Tensor, actions: Tensor, target: Target) -> Tensor:
    """`DiffusionPolicy.forward` behind the encoder, which so runs once for all noises."""
    noise, _ = draw(policy, target)
    evenly = (torch.arange(target.noises) + 0.5) / target.noises * policy.shape.diffusion_steps
    noise, timesteps = noise.to(condition.device), evenly.long().to(condition.device)
    clean = policy.actions.normalize(actions).expand(target.noises, -1, -1)
    noisy = policy.scheduler.add_noise(clean, noise, timesteps)  # type: ignore[arg-type]
    answer = policy.unet(noisy, timesteps, condition.expand(target.noises, -1))
    return F.mse_loss(answer, noise if policy.shape.prediction == "epsilon" else clean)


def draw(policy: DiffusionPolicy, target: Target) -> tuple[Tensor, torch.Generator]:
    """The noises (noises, T, A), on the CPU, with the generator for what DDPM draws after them."""
    generator = torch.Generator().manual_seed(target.seed)
    size = (target.noises, policy.shape.horizon, policy.shape.action_size)
    return torch.randn(size, generator=generator), generator


def input_gradient(gradients: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, H, W): the largest magnitude of the three channels (arXiv 1312.6034, section 3.1)."""
    return gradients.abs().amax(dim=1)


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """(B, C, h, w) both -> (B, h, w): the size of the sum of the channels, each weighed by the mean of its gradient.

    A class score is explained by what raises it, so that equation 2 cuts off what is below 0. An action is set by what
    lowers it as much as by what raises it. How small a place it can show is up to the map: one of 3 x 3, as a
    ResNet-18's of 96 px, has no entropy below about 0.8, and numbers of different grids do not compare.
    """
    weights = gradients.mean(dim=(-2, -1), keepdim=True)
    return (weights * activations).sum(dim=1).abs()


def spread(maps: Tensor, size_px: tuple[int, int] | torch.Size, crop_px: tuple[int, int] | None) -> Tensor:
    """(B, h, w) -> (B, H, W), bilinear; 0 outside the middle of crop_px, (H, W), that the encoder saw."""
    height, width = size_px
    seen = crop_px or (height, width)
    enlarged = F.interpolate(maps[:, None], seen, mode="bilinear", align_corners=False)[:, 0]
    top, left = (height - seen[0]) // 2, (width - seen[1]) // 2
    return F.pad(enlarged, (left, width - seen[1] - left, top, height - seen[0] - top))
