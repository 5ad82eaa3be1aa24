"""Fine-tunes an encoder jointly with a diffusion policy head on demonstrations."""

import argparse
import json
import math
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor

from policy_examples.curve import draw_learning_curve
from policy_examples.encoders import EncoderName, PolicyNorm, load_encoder
from policy_examples.interrupts import StopRequest
from policy_examples.policy import DiffusionPolicy, PolicyShape
from policy_examples.progress import Log, require_finite
from policy_examples.store import Demonstrations, load_demonstrations
from policy_examples.windows import Windows, batch_indices


@dataclass(frozen=True)
class Config:
    """One run; the defaults are DP3's published sizes with the horizons of its paper."""

    demos: Path = Path("demonstrations.zarr")
    """The zarr store to learn from, all of it."""
    output: Path = Path("run")
    """Folder of checkpoint.pt, log.jsonl, learning_curve.png and policy/; a run found there is continued."""
    encoder: EncoderName = "xdistill"
    """`resnet18-scratch` is the baseline without pretraining."""
    checkpoint: str | None = None
    """For xdistill: a bundled name, a folder or a Hub id; None is the bundled default."""
    norm: PolicyNorm | None = None
    """None is `frozen` for xdistill, `group` for resnet18-scratch."""
    horizon: int = 4
    """T: steps of the denoised action sequence."""
    observation_steps: int = 2
    """To: frames that the policy reads."""
    action_steps: int = 3
    """Ta: actions executed before the policy looks again."""
    channels: tuple[int, ...] = (512, 1024, 2048)
    """Width of each UNet level."""
    steps: int = 24_000
    """Optimizer steps; 1,600 epochs of ten demonstrations of 200 steps."""
    batch_size: int = 128
    """Windows a step, over all processes."""
    lr: float = 1e-4
    """Learning rate of the head."""
    encoder_multiplier: float = 1.0
    """The encoder's learning rate is this times `lr`."""
    warmup_steps: int = 500
    """Steps to the full learning rate, which then follows a cosine to 0."""
    weight_decay: float = 1e-6
    """AdamW's."""
    ema_power: float = 0.75
    """The average's decay at step s is 1 - (1 + s) ** -power."""
    ema_max_decay: float = 0.9999
    """Upper limit of that decay."""
    bf16: bool | None = None
    """Compute in bfloat16; weights and loss stay in float32. None: where the hardware does so natively."""
    seed: int = 0
    """Of the head's first weights, the order of windows, the noise."""
    log_every: int = 10
    """Steps between lines of log.jsonl."""
    save_every: int = 1_000
    """Steps between checkpoints."""


MAY_DIFFER = ("output", "log_every", "save_every")
"""Settings that do not change the result."""

PRESETS = {
    "cpu": Config(
        horizon=8,
        action_steps=6,
        channels=(64, 128, 256),
        steps=600,
        batch_size=64,
        lr=3e-4,
        warmup_steps=50,
        save_every=200,
    ),
    "dp3": Config(),
}


def train(config: Config) -> int:
    """Run, or continue, until the last step or a signal; returns the number of steps done.

    Raises:
        ValueError: the demonstrations or the run in `output` do not fit the configuration.
        FloatingPointError: the loss is not finite; the last checkpoint stays.
    """
    accelerator = Accelerator()
    device: torch.device = accelerator.device
    demonstrations = load_demonstrations(config.demos)
    windows = Windows(demonstrations, config.horizon, config.observation_steps, config.action_steps).to(device)
    batch_indices(len(windows), config.batch_size, config.seed, step=0)  # an impossible batch size fails here

    torch.manual_seed(config.seed)
    policy = build_policy(config, demonstrations).to(device)
    policy.encoder.to(memory_format=torch.channels_last)
    average = EMAModel(
        policy.parameters(), decay=config.ema_max_decay, use_ema_warmup=True, power=config.ema_power, foreach=True
    )
    optimizer = torch.optim.AdamW(param_groups(policy, config), betas=(0.95, 0.999), eps=1e-8, fused=True)
    start, losses = restore(config, policy, optimizer, average)
    model, optimizer = accelerator.prepare(policy, optimizer)
    model.train()
    bf16 = native_bf16(device) if config.bf16 is None else config.bf16
    log = Log(config.output / "log.jsonl", start, config.steps, accelerator.is_main_process)
    generator = torch.Generator(device)
    step, leave = start, False

    with StopRequest() as stop:
        while step < config.steps and not leave:
            indices = batch_indices(len(windows), config.batch_size, config.seed, step)
            batch = windows[indices[accelerator.process_index :: accelerator.num_processes].to(device)]
            generator.manual_seed((config.seed << 40) + step * accelerator.num_processes + accelerator.process_index)
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * warmup_cosine(step, config.warmup_steps, config.steps)

            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = model(batch, generator)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            average.step(policy.parameters())

            step += 1
            losses.append(loss.detach())
            if step % config.log_every == 0 or step == config.steps:
                log.write(step, torch.stack(losses).mean().item())  # the only device-to-host copy
                losses.clear()
            if step % config.save_every == 0 and step < config.steps and accelerator.is_main_process:
                save_checkpoint(config, policy, optimizer, average, step, losses)
            leave = all_leave(accelerator, stop.requested, step, config.log_every)
    log.close()

    if accelerator.is_main_process:
        save_checkpoint(config, policy, optimizer, average, step, losses)
        if step == config.steps:
            draw_learning_curve(config.output / "log.jsonl", config.output / "learning_curve.png")
            save_average(config, policy, average, demonstrations.origin)
    return step


def native_bf16(device: torch.device) -> bool:
    """Whether the GPU, or the CPU's matrix unit, computes bfloat16 natively; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


def all_leave(accelerator: Accelerator, requested: bool, step: int, every: int) -> bool:
    """Whether to stop after this step: a single process decides alone, several ask each other every few steps."""
    if accelerator.num_processes == 1:
        return requested
    if step % every:
        return False
    requests: Any = accelerator.reduce(torch.tensor(float(requested), device=accelerator.device))
    return bool(requests > 0)


def build_policy(config: Config, demonstrations: Demonstrations) -> DiffusionPolicy:
    """The policy before its first step, its normalisers fitted to all demonstrations."""
    encoder = load_encoder(config.encoder, config.checkpoint, config.norm)
    shape = PolicyShape(
        encoder_norm=encoder.norm,
        state_size=demonstrations.agent_pos.shape[1],
        action_size=demonstrations.actions.shape[1],
        horizon=config.horizon,
        observation_steps=config.observation_steps,
        action_steps=config.action_steps,
        channels=config.channels,
    )
    policy = DiffusionPolicy(shape, encoder)
    policy.agent_pos.fit(torch.from_numpy(demonstrations.agent_pos))
    policy.actions.fit(torch.from_numpy(demonstrations.actions))
    return policy


def param_groups(policy: DiffusionPolicy, config: Config) -> list[dict[str, Any]]:
    """The encoder's groups, then the head's."""
    encoder = policy.encoder.param_groups(
        config.lr, backbone_multiplier=config.encoder_multiplier, weight_decay=config.weight_decay
    )
    head = {"params": list(policy.unet.parameters()), "lr": config.lr, "weight_decay": config.weight_decay}
    return [{**group, "full_lr": group["lr"]} for group in (*encoder, head)]


def warmup_cosine(step: int, warmup_steps: int, steps: int) -> float:
    """The share of the full learning rate at a step: a linear rise, then a cosine to 0."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def save_checkpoint(
    config: Config, policy: DiffusionPolicy, optimizer: Any, average: EMAModel, step: int, losses: list[Tensor]
) -> None:
    """Write all that a continued run needs, complete or not at all; raises FloatingPointError for a loss of NaN."""
    if losses:
        require_finite(step, torch.stack(losses).mean().item())
    path = config.output / "checkpoint.pt"
    state = {
        "config": json.dumps(asdict(config), default=str),
        "step": step,
        "policy": policy.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average.state_dict(),
        "losses": losses,  # not logged yet
    }
    torch.save(state, path.with_suffix(".partial"))
    os.replace(path.with_suffix(".partial"), path)


def restore(
    config: Config, policy: DiffusionPolicy, optimizer: torch.optim.Optimizer, average: EMAModel
) -> tuple[int, list[Tensor]]:
    """Load the checkpoint in `output`, if there is one; returns its step, with the losses that are not logged yet.

    Raises:
        ValueError: it belongs to a run with another configuration.
    """
    config.output.mkdir(parents=True, exist_ok=True)
    path = config.output / "checkpoint.pt"
    if not path.exists():
        return 0, []
    state = torch.load(path, map_location="cpu", weights_only=True)
    found, asked = json.loads(state["config"]), json.loads(json.dumps(asdict(config), default=str))
    differing = [name for name in asked if found.get(name) != asked[name] and name not in MAY_DIFFER]
    if differing:
        changes = ", ".join(f"{name} {found.get(name)!r} -> {asked[name]!r}" for name in differing)
        raise ValueError(f"output: {config.output} holds a run that began otherwise ({changes}); name another folder.")
    policy.load_state_dict(state["policy"], strict=True)
    optimizer.load_state_dict(state["optimizer"])
    average.load_state_dict(state["average"])
    device = next(policy.parameters()).device
    average.to(device)
    return state["step"], [loss.to(device) for loss in state["losses"]]


def save_average(config: Config, policy: DiffusionPolicy, average: EMAModel, origin: dict[str, Any]) -> None:
    """Write the averaged policy to policy/."""
    average.store(policy.parameters())
    average.copy_to(policy.parameters())
    policy.save(config.output / "policy", {**origin, "encoder": config.encoder, "checkpoint": config.checkpoint})
    average.restore(policy.parameters())


def main() -> None:
    """`xdistill finetune`."""
    parser = argparse.ArgumentParser(prog="xdistill finetune", add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", choices=PRESETS, default="dp3")
    preset, arguments = parser.parse_known_args()
    description = (
        "Fine-tune an encoder with a diffusion policy head. "
        f"--preset {{{','.join(PRESETS)}}} chooses the defaults shown here; without it they are dp3's, for a GPU."
    )
    config = tyro.cli(
        Config, default=PRESETS[preset.preset], args=arguments, prog="xdistill finetune", description=description
    )
    try:
        done = train(config)
    except (ValueError, FloatingPointError) as error:
        raise SystemExit(f"xdistill finetune: {error}") from error
    if done < config.steps:
        print(f"stopped after {done} of {config.steps} steps; the same command continues.", file=sys.stderr)
        sys.exit(130)
    print(f"policy: {config.output / 'policy'}")
    print(f"try it: xdistill rollout --policy {config.output / 'policy'} --output {config.output / 'rollout'}")


if __name__ == "__main__":
    main()
