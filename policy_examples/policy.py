"""A diffusion policy over encoder features that learns together with its encoders."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from policy_examples.augmentation import centre_crop
from policy_examples.encoders import PolicyEncoder, empty_encoder
from policy_examples.normalizer import LimitsNormalizer
from policy_examples.policy_checks import (
    require_finite_state,
    require_generators,
    require_matching,
    require_readable,
)
from policy_examples.policy_files import fill, read_config, write_policy
from policy_examples.policy_shape import PolicyShape, sides
from policy_examples.unet import ConditionalUNet1d


class DiffusionPolicy(nn.Module):
    """Condition = [encoder(image) | agent_pos] of To frames; a UNet denoises T actions, Ta of them are executed.

    Features enter raw, agent_pos and actions mapped to [-1, 1]; the noise levels are DP3's (squared cosine, 100).

    Args:
        shape: sizes and choices.
        encoders: one that all of `shape.cameras` share, or one a camera.

    Attributes:
        reads: the observation keys that it needs: its cameras, then "agent_pos".

    Raises:
        ValueError: encoders that do not fit the cameras.
    """

    def __init__(self, shape: PolicyShape, encoders: Sequence[PolicyEncoder]) -> None:
        super().__init__()
        require_matching(shape.cameras, encoders)
        self.shape = shape
        self.reads: tuple[str, ...] = (*shape.cameras, "agent_pos")
        self.encoders = nn.ModuleList(encoders).to(memory_format=torch.channels_last)
        self.agent_pos = LimitsNormalizer(shape.state_size)
        self.actions = LimitsNormalizer(shape.action_size, constant=0.0)
        features = sum(self.encoder_of(camera).num_features for camera in range(len(shape.cameras)))
        self.unet = ConditionalUNet1d(
            shape.action_size,
            shape.observation_steps * (features + shape.state_size),
            shape.channels,
            shape.kernel_size,
            shape.groups,
            shape.step_embedding_size,
        )
        self.scheduler = noise_scheduler(shape)
        self.scheduler.set_timesteps(shape.inference_steps)
        self.timesteps: tuple[int, ...] = tuple(self.scheduler.timesteps.tolist())  # of an action chunk, falling

    # ---- learning

    def compute_loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """Mean squared error of the denoised actions (or of the noise), in normalised units.

        Args:
            batch: what `reads` names, (B, To, ...), and "action" (B, T, A), in the data's units.
            generator: of the noise, on the CPU whatever the device; None is torch's global one.
        """
        noise, timesteps = self.draw_noise(len(batch["action"]), generator)
        return self(batch, noise, timesteps)

    def draw_noise(self, rows: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """What a training step adds to the actions, on the CPU: noise (rows, T, A) float32, timesteps (rows,) int64."""
        noise = torch.randn(rows, self.shape.horizon, self.shape.action_size, generator=generator)
        return noise, torch.randint(self.shape.diffusion_steps, (rows,), generator=generator)

    def forward(self, batch: dict[str, Tensor], noise: Tensor, timesteps: Tensor) -> Tensor:
        """The loss under given noise (B, T, A) at given timesteps (B,); where a wrapper such as DDP looks for it."""
        actions = self.actions.normalize(batch["action"])  # (B, T, A)
        noise, timesteps = noise.to(actions.device), timesteps.to(actions.device)
        noisy = self.scheduler.add_noise(actions, noise, timesteps)  # type: ignore[arg-type]
        answer = self.unet(noisy, timesteps, self.condition(batch))
        return nn.functional.mse_loss(answer.float(), noise if self.shape.prediction == "epsilon" else actions)

    # ---- acting

    @torch.no_grad()
    def predict_action(
        self, observation: dict[str, Tensor], generators: Sequence[torch.Generator] | torch.Generator | None = None
    ) -> Tensor:
        """The next actions, (B, Ta, A), in the data's units.

        Args:
            observation: what `reads` names, (B, To, ...), oldest frame first.
            generators: of the noise, on the CPU whatever the device: one a row, so that a row's noise does not depend
                on its neighbours, or one for all rows; None is torch's global one.

        Raises:
            ValueError: an observation that lacks a key, has other axes than the policy learned, or whose agent_pos is
                not finite.
        """
        condition = self.condition(observation)
        require_finite_state(observation["agent_pos"])
        drawing = require_generators(generators, len(condition))
        size = (len(condition), self.shape.horizon, self.shape.action_size)
        noise = randn_tensor(size, drawing, torch.device("cpu")).to(condition.device)
        return self.denoise(noise, condition, drawing)

    def denoise(
        self, noise: Tensor, condition: Tensor, generators: list[torch.Generator] | torch.Generator | None = None
    ) -> Tensor:
        """Noise (B, T, A), condition (B, C) -> the actions to execute, (B, Ta, A), in the data's units.

        Args:
            generators: of what DDPM draws at each timestep; DDIM draws nothing.
        """
        actions = noise
        for timestep in self.timesteps:
            timesteps = torch.full(actions.shape[:1], timestep, device=actions.device)
            answer = self.unet(actions, timesteps, condition)
            actions = self.scheduler.step(answer, timestep, actions, generator=generators).prev_sample  # type: ignore
        executed = slice(self.shape.first_action, self.shape.first_action + self.shape.action_steps)
        return self.actions.denormalize(actions[:, executed])

    def condition(self, observation: dict[str, Tensor]) -> Tensor:
        """What `reads` names, images (B, To, 3, H, W) uint8, agent_pos (B, To, P) -> (B, To * (features + P))."""
        require_readable(observation, self.shape, self.training)
        read = [observation[camera] for camera in self.shape.cameras]
        if self.shape.crop_px is not None:
            read = [centre_crop(images, sides(self.shape.crop_px)) for images in read]
        features = [self.encoder_of(camera)(images) for camera, images in enumerate(read)]  # (B, To, D) each
        agent_pos = self.agent_pos.normalize(observation["agent_pos"].float())  # (B, To, P)
        return torch.cat([*features, agent_pos], dim=-1).flatten(1)

    def encoder_of(self, camera: int) -> Any:
        """The encoder of the camera at this place in `shape.cameras`."""
        return self.encoders[camera if len(self.encoders) > 1 else 0]

    def compile_networks(self) -> "DiffusionPolicy":
        """Run encoders and UNet through torch.compile from their next call on; weights and their names stay."""
        for network in (*self.encoders, self.unet):
            network.compile()
        return self

    # ---- files

    def save(self, folder: Path, origin: dict[str, Any]) -> None:
        """Write model.safetensors and config.json; `origin` says what the policy was trained on.

        Raises:
            ValueError: weights that are not finite.
        """
        for name, tensor in self.state_dict().items():
            if not bool(tensor.isfinite().all()):
                raise ValueError(f"policy: {name} holds NaN or infinity; look at the learning rate and the average.")
        encoders = [self.encoder_of(index).saved for index in range(len(self.encoders))]
        config = {"shape": asdict(self.shape), "encoders": encoders, "origin": origin}
        write_policy(folder, config, self.state_dict())

    @classmethod
    def load(cls, folder: Path) -> tuple["DiffusionPolicy", dict[str, Any]]:
        """The policy in eval mode on the CPU, with the origin that it was saved with; no network is needed.

        Raises:
            ValueError: no policy there, one of another format, or damaged weights.
        """
        config = read_config(folder)
        try:
            shape = PolicyShape.from_dict(config["shape"])
        except TypeError as error:
            raise ValueError(f"policy: the shape in {folder} is not one of this version: {error}") from error
        policy = cls(shape, [empty_encoder(saved) for saved in config["encoders"]])
        fill(policy, folder)
        return policy.eval(), config["origin"]


def noise_scheduler(shape: PolicyShape) -> DDIMScheduler | DDPMScheduler:
    """Noise levels as DP3 and Diffusion Policy set them."""
    common: dict[str, Any] = {
        "num_train_timesteps": shape.diffusion_steps,
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": shape.prediction,
        "clip_sample": True,
    }
    if shape.sampler == "ddim":
        return DDIMScheduler(**common, set_alpha_to_one=True)
    return DDPMScheduler(**common, variance_type="fixed_small")
