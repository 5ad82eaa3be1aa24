"""Observation wrappers that turn pixels into features."""

import os
from typing import Any

import torch

from xdistill_encoder.hosts.eval_mode import in_eval_mode
from xdistill_encoder.hosts.needs import require_host
from xdistill_encoder.images import MIN_SIZE_PX
from xdistill_encoder.model import XDistillResNet18

require_host("gymnasium", "pip install 'xdistill-encoder[gymnasium]'")

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
from gymnasium.spaces import Box, Dict, Space  # noqa: E402
from gymnasium.utils import RecordConstructorArgs  # noqa: E402
from gymnasium.vector import VectorEnv, VectorObservationWrapper  # noqa: E402
from gymnasium.vector.utils import batch_space  # noqa: E402

IMPORTED_IN = os.getpid()
"""The process that imported torch; one that was forked from it has another number."""


class XDistillObservation(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Pixels (H, W, 3) uint8 -> features (512,) float32.

    Where several environments run at once, wrap the vector environment instead (`XDistillVectorObservation`): one
    forward pass for all of them, and one encoder.

    Args:
        env: whose observation is an image, or a Dict that holds one.
        encoder: runs in eval mode, whatever mode it is in elsewhere, without gradient; None: the bundled weights.
        key: of the image in a Dict; None: the observation is the image.

    Raises:
        ValueError: an observation that holds no such image; an encoder that takes normalised images; a process that was
            forked, as `AsyncVectorEnv` does by default, where torch's threads would hang.
    """

    def __init__(self, env: gymnasium.Env, encoder: XDistillResNet18 | None = None, key: str | None = None):
        RecordConstructorArgs.__init__(self, encoder=encoder, key=key, _disable_deepcopy=True)  # one encoder for all
        gymnasium.ObservationWrapper.__init__(self, env)
        require_threads()
        self.encoder = raw_encoder(encoder)
        self.key = key
        self.observation_space = features_space(env.observation_space, key, self.encoder.num_features)

    def observation(self, observation: Any) -> Any:
        """The observation with features in the place of pixels."""
        if self.key is None:
            return encode(self.encoder, observation[None])[0]
        return {**observation, self.key: encode(self.encoder, observation[self.key][None])[0]}


class XDistillVectorObservation(VectorObservationWrapper):
    """Pixels (N, H, W, 3) uint8 of N environments -> features (N, 512) float32, in one forward pass.

    Args and errors are those of `XDistillObservation`.
    """

    def __init__(self, env: VectorEnv, encoder: XDistillResNet18 | None = None, key: str | None = None):
        super().__init__(env)
        self.encoder = raw_encoder(encoder)
        self.key = key
        self.single_observation_space = features_space(env.single_observation_space, key, self.encoder.num_features)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def observations(self, observations: Any) -> Any:
        """The observations with features in the place of pixels."""
        if self.key is None:
            return encode(self.encoder, observations)
        return {**observations, self.key: encode(self.encoder, observations[self.key])}


def raw_encoder(encoder: XDistillResNet18 | None) -> XDistillResNet18:
    """The encoder, or the bundled one; raises ValueError for one that does not take pixels as they are."""
    if encoder is None:
        return XDistillResNet18.from_pretrained()
    if encoder.normalizer.inputs_normalized:
        raise ValueError(
            "encoder: expected one for pixels in [0, 255], got one that was built with inputs_normalized=True"
        )
    return encoder


def require_threads() -> None:
    """Raise a ValueError where a forward pass may wait for ever: in a forked process with several threads of torch."""
    if os.getpid() != IMPORTED_IN and torch.get_num_threads() > 1:
        raise ValueError(
            "env: this process was forked from one that had loaded torch, so that a forward pass by several threads "
            "hangs; wrap the vector environment instead (XDistillVectorObservation), or give AsyncVectorEnv "
            "context='spawn', or call torch.set_num_threads(1) in this process first"
        )


def features_space(space: Space, key: str | None, num_features: int) -> Space:
    """The space after the encoder; raises ValueError for one without the image."""
    if key is None:
        require_image(space, "the observation")
        return Box(-np.inf, np.inf, (num_features,), np.float32)
    if not isinstance(space, Dict) or key not in space.spaces:
        raise ValueError(f"key: expected one of the observation's entries, got {key!r}; the space is {space}")
    require_image(space[key], f"observation[{key!r}]")
    return Dict({**space.spaces, key: Box(-np.inf, np.inf, (num_features,), np.float32)})


def require_image(space: Space, what: str) -> None:
    """Raise a ValueError for a space that does not hold (H, W, 3) uint8 images from 32 px up."""
    if isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        height, width, channels = space.shape
        if channels == 3 and min(height, width) >= MIN_SIZE_PX:
            return
    raise ValueError(
        f"{what}: expected images (H, W, 3) uint8, H and W from {MIN_SIZE_PX} px, got {space}"
        + ("; name the image with key=" if isinstance(space, Dict) else "")
    )


@torch.inference_mode()
def encode(encoder: XDistillResNet18, images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, 512) float32, on the encoder's device."""
    device = next(encoder.parameters()).device
    pixels = torch.from_numpy(np.require(images, requirements=["C", "W"])).to(device).movedim(-1, -3)
    with in_eval_mode(encoder):
        return encoder(pixels).float().cpu().numpy()
