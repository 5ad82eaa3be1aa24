"""A diffusion policy over image features that learns together with its encoder."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from policy_examples.encoders import Encoder, empty_encoder
from policy_examples.normalizer import LimitsNormalizer
from policy_examples.unet import ConditionalUNet1d

FORMAT = 1


@dataclass(frozen=True)
class PolicyShape:
    """What is needed to rebuild a policy before its weights are loaded."""

    encoder_norm: str
    state_size: int
    action_size: int
    horizon: int
    """T: steps of the denoised action sequence."""
    observation_steps: int
    """To: frames that the policy reads."""
    action_steps: int
    """Ta: actions executed before the policy looks again."""
    channels: tuple[int, ...]
    """Width of each UNet level."""
    kernel_size: int = 5
    groups: int = 8
    step_embedding_size: int = 128
    diffusion_steps: int = 100
    inference_steps: int = 10

    def __post_init__(self) -> None:
        multiple = 2 ** (len(self.channels) - 1)
        if self.horizon % multiple:
            raise ValueError(
                f"horizon: {len(self.channels)} UNet levels need a multiple of {multiple}, got {self.horizon}"
            )
        if self.observation_steps - 1 + self.action_steps > self.horizon:
            raise ValueError(
                f"action_steps: observation_steps - 1 + action_steps must fit into the horizon of {self.horizon}, "
                f"got {self.observation_steps} - 1 + {self.action_steps}."
            )
        if any(width % self.groups for width in self.channels):
            raise ValueError(f"channels: each must be a multiple of groups = {self.groups}, got {self.channels}.")


class DiffusionPolicy(nn.Module):
    """Condition = [encoder(image) | agent_pos] of To frames; a UNet denoises T actions, Ta of them are executed.

    The schedule is DP3's: DDIM, squared cosine, the clean sample is what the network predicts.
    """

    def __init__(self, shape: PolicyShape, encoder: Encoder) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = encoder
        self.agent_pos = LimitsNormalizer(shape.state_size)
        self.actions = LimitsNormalizer(shape.action_size)
        self.unet = ConditionalUNet1d(
            shape.action_size,
            shape.observation_steps * (encoder.num_features + shape.state_size),
            shape.channels,
            shape.kernel_size,
            shape.groups,
            shape.step_embedding_size,
        )
        self.scheduler = DDIMScheduler(
            num_train_timesteps=shape.diffusion_steps,
            beta_start=1e-4,
            beta_end=0.02,
            beta_schedule="squaredcos_cap_v2",
            prediction_type="sample",
            clip_sample=True,
            set_alpha_to_one=True,
        )

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """`compute_loss`, where a wrapper such as DistributedDataParallel finds it."""
        return self.compute_loss(batch, generator)

    def compute_loss(self, batch: dict[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """Mean squared error of the denoised actions, in normalised units.

        Args:
            batch: "image" (B, To, 3, H, W) uint8, "agent_pos" (B, To, P), "action" (B, T, A), in the data's units.
            generator: of the noise; None is torch's global one.
        """
        actions = self.actions.normalize(batch["action"])  # (B, T, A)
        noise = torch.randn(actions.shape, generator=generator, device=actions.device)
        step = torch.randint(self.shape.diffusion_steps, (len(actions),), generator=generator, device=actions.device)
        noisy = self.scheduler.add_noise(actions, noise, step)  # type: ignore[arg-type]
        denoised = self.unet(noisy, step, self.condition(batch))
        return nn.functional.mse_loss(denoised.float(), actions)

    def condition(self, observation: dict[str, Tensor]) -> Tensor:
        """image (B, To, 3, H, W), agent_pos (B, To, P) -> (B, To * (512 + P))."""
        features = self.encoder(observation["image"])  # (B, To, 512)
        agent_pos = self.agent_pos.normalize(observation["agent_pos"])  # (B, To, P)
        return torch.cat([features, agent_pos], dim=-1).flatten(1)

    @torch.no_grad()
    def predict_action(self, observation: dict[str, Tensor], generator: torch.Generator | None = None) -> Tensor:
        """The next actions, (B, Ta, A), in the data's units.

        Args:
            observation: "image" (B, To, 3, H, W) uint8, "agent_pos" (B, To, P), oldest frame first.
            generator: of the first noise, on the CPU whatever the device; None is torch's global one.
        """
        shape = self.shape
        condition = self.condition(observation)
        start = torch.randn(len(condition), shape.horizon, shape.action_size, generator=generator)
        actions = start.to(condition.device)
        self.scheduler.set_timesteps(shape.inference_steps)
        for step in self.scheduler.timesteps.tolist():
            steps = torch.full((len(actions),), step, device=actions.device)
            denoised = self.unet(actions, steps, condition)
            actions = self.scheduler.step(denoised, step, actions).prev_sample  # type: ignore[union-attr, arg-type]
        first = shape.observation_steps - 1  # the step of the newest frame
        return self.actions.denormalize(actions[:, first : first + shape.action_steps])

    def save(self, folder: Path, origin: dict[str, Any]) -> None:
        """Write model.safetensors and config.json; `origin` says what the policy was trained on."""
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, partial / "model.safetensors")
        config = {"format": FORMAT, "shape": asdict(self.shape), "origin": origin}
        (partial / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)

    @classmethod
    def load(cls, folder: Path) -> tuple["DiffusionPolicy", dict[str, Any]]:
        """The policy in eval mode on the CPU, with the origin that it was saved with.

        Raises:
            ValueError: no policy there, one of another format, or damaged weights.
        """
        config = _read_config(folder)
        shape = PolicyShape(**{**config["shape"], "channels": tuple(config["shape"]["channels"])})
        policy = cls(shape, empty_encoder(shape.encoder_norm))
        try:
            policy.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ValueError(f"policy: the weights in {folder} cannot be loaded: {error}") from error
        return policy.eval(), config["origin"]


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"policy: {folder} holds no policy ({error}); `xdistill finetune` writes one.") from error
    if config.get("format") != FORMAT:
        raise ValueError(f"policy: {path} has format {config.get('format')!r}, this version reads format {FORMAT}.")
    return config
