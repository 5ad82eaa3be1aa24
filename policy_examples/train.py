"""Fine-tunes encoders jointly with a diffusion policy head on demonstrations."""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from policy_examples.augmentation import Augmentation
from policy_examples.encoders import EncoderName, PolicyEncoder, PolicyNorm, Readout, load_encoder
from policy_examples.envs.camera import RenderingError
from policy_examples.formats.episodes import Selection, named_keys
from policy_examples.interrupts import StopRequest
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_files import read_config
from policy_examples.policy_shape import PolicyShape, Prediction, Sampler, is_camera
from policy_examples.run_lock import is_first_process, sole_run
from policy_examples.store import Demonstrations, open_demonstrations
from policy_examples.training.averaging import Average, require_fixed_statistics
from policy_examples.training.checkpointing import load_checkpoint, save_checkpoint
from policy_examples.training.curve import draw_curves
from policy_examples.training.draws import HIGHEST_SEED, generator_of
from policy_examples.training.evaluations import Evaluations, learned_task
from policy_examples.training.optimization import param_groups, warmup_cosine
from policy_examples.training.precision import computes_bf16
from policy_examples.training.progress import Log, require_finite
from policy_examples.training.settings import write_settings
from policy_examples.windows import Windows, batch_indices, count_windows, observed_array, steps_per_epoch
from xdistill_encoder.freed_memory import keep_freed_memory


@dataclass(frozen=True)
class Config:
    """One run; the defaults are DP3's published sizes with X-Distill's number of epochs."""

    demos: Path = Path("demonstrations.zarr")
    """Demonstrations to learn from, all of them: zarr, robomimic HDF5 or a LeRobotDataset."""
    selection: Selection = field(default_factory=Selection)
    """Which cameras and arrays of --demos to read; the defaults take what the format names plainly."""
    output: Path = Path("run")
    """Folder of policy/ (at the end; until then stopped/, once it was stopped), best/ (with evaluations), checkpoint.pt
    and the logs; a run found there is continued."""
    encoder: EncoderName = "xdistill"
    """What turns observations into features; `blind` reads agent_pos alone."""
    checkpoint: str | None = None
    """xdistill: a bundled name, a folder or a Hub id, None the bundled default; timm: a folder that timm wrote or a Hub
    id; student: its folder; other pretrained encoders: a folder in place of their Hub id."""
    norm: PolicyNorm | None = None
    """None is the encoder's own: of xdistill that of its checkpoint, `frozen` for batch norm; `group` for
    resnet18-scratch."""
    readout: Readout = "pooled"
    """What is read from a feature map: its mean, where each channel peaks, or the estimated teacher embedding."""
    encoder_image_size_px: int | None = None
    """Side to which frames are resized for it; None: the size of its pretraining, or none where it takes any."""
    cameras: tuple[str, ...] | None = None
    """Observation keys that are read, such as `image image_wrist`; None: the only camera, the points, or blind none."""
    separate_encoders: bool = False
    """Give each camera an encoder of its own; otherwise all share one."""
    freeze_encoder: bool = False
    """Leave the encoder as it was pretrained; the head alone learns."""
    crop_px: int | tuple[int, int] | None = None
    """What is cut from frames, at random while learning, else from the middle: the side of squares, or height and
    width, such as `104 138` of frames of 112 x 149; None: no crop."""
    colour: float = 0.0
    """Strength in [0, 1] of random brightness, contrast, saturation and hue while learning."""
    horizon: int = 16
    """T: steps of the denoised action sequence."""
    observation_steps: int = 2
    """To: frames that the policy reads."""
    action_steps: int = 8
    """Ta: actions executed before the policy looks again."""
    channels: tuple[int, ...] = (512, 1024, 2048)
    """Width of each UNet level."""
    prediction: Prediction = "sample"
    """What the UNet answers: the clean actions, or the noise."""
    sampler: Sampler = "ddim"
    """How noise becomes actions."""
    inference_steps: int | None = None
    """Denoising steps of an action chunk; None: 10 of DDIM, all 100 of DDPM, as published."""
    epochs: int | None = 1500
    """Passes over the windows, whole batches each; None: `steps` says how long."""
    steps: int | None = None
    """Optimizer steps; None: `epochs` says how long."""
    batch_size: int = 128
    """Windows a step, over all processes."""
    lr: float = 1e-4
    """Learning rate of the head."""
    encoder_lr_multiplier: float = 1.0
    """The encoder's learning rate is this times `lr`."""
    warmup_steps: int = 500
    """Steps to the full learning rate, at most half of the run; then it follows a cosine to 0."""
    weight_decay: float = 1e-6
    """Of AdamW."""
    ema_power: float = 0.75
    """The average's decay at step s is 1 - (1 + s) ** -power."""
    ema_max_decay: float = 0.9999
    """Upper limit of that decay."""
    eval_every_epochs: int | None = None
    """Epochs between evaluations of the averaged policy, 200 published; the last step has one too; None: none."""
    eval_episodes: int = 20
    """Episodes of an evaluation, the same ones every time."""
    eval_processes: int = 1
    """Worker processes that simulate the evaluation episodes."""
    bf16: bool | None = None
    """Compute in bfloat16; weights and loss stay in float32. None: where the device does so natively."""
    compile: bool = False
    """Run the networks through torch.compile; worth its minute for long runs. Needs a C++ compiler."""
    show_batch_norm_trap: bool = False
    """Allow norm `batch`, whose averaged copy evaluates with statistics that nothing updates: a demonstration."""
    seed: int = 0
    """Of the head's first weights, the order of windows, the noise, the augmentation."""
    log_every: int = 10
    """Steps between lines of log.jsonl."""
    save_every: int = 1_000
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                f"epochs, steps: expected one of them, got {self.epochs} and {self.steps}; make the other None."
            )
        for name in ("epochs", "steps", "eval_every_epochs"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, or None, got {getattr(self, name)}.")
        for name in ("batch_size", "lr", "encoder_lr_multiplier", "eval_episodes", "eval_processes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}.")
        if not 0 <= self.seed <= HIGHEST_SEED:
            raise ValueError(f"seed: expected 0 to {HIGHEST_SEED}, got {self.seed}.")
        if not (self.ema_power > 0 and 0 <= self.ema_max_decay < 1):
            raise ValueError(
                f"ema_power, ema_max_decay: expected a power above 0 and a decay in [0, 1), got {self.ema_power} and "
                f"{self.ema_max_decay}."
            )
        for name in ("log_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}.")


STOPPED = "stopped"
"""Folder of the policy of a run that was stopped, as far as it came."""

MAY_DIFFER = ("output", "demos", "log_every", "save_every", "eval_processes")
"""Settings that do not change the result; that the demonstrations are the same ones is checked by their windows."""

PRESETS = {
    "cpu": Config(
        horizon=8,
        action_steps=6,
        channels=(64, 128, 256),
        epochs=None,
        steps=600,
        batch_size=64,
        lr=3e-4,
        warmup_steps=50,
        save_every=200,
    ),
    "dp3": Config(),
    "dp3-paper": Config(horizon=4, action_steps=3),
}
"""cpu: a task on two CPU cores, 13 minutes to 4 hours; dp3: T / To / Ta 16 / 2 / 8 of DP3's repository;
dp3-paper: 4 / 2 / 3 of its paper."""


def train(config: Config) -> bool:
    """Run, or continue, until the last step or a signal; returns whether the last step was reached.

    Under `torchrun` all processes share each batch, and the result is that of one process but for rounding.

    Raises:
        ValueError: the demonstrations or the run in `output` do not fit the configuration.
        FloatingPointError: the loss is not finite; the last checkpoint stays.
        ChildProcessError: a process that plays an evaluation died; the checkpoint before it stays.
    """
    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),  # without it accelerate overlooks torchrun there
        mixed_precision="no",  # `bf16` decides, whatever a launcher's environment says
        gradient_accumulation_steps=1,  # likewise
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=6))],  # others wait while the main one plays
    )
    device, processes = accelerator.device, accelerator.num_processes
    share = slice(accelerator.process_index, None, processes)  # this process's rows of a batch
    if config.batch_size % processes:
        raise ValueError(f"batch_size: expected a multiple of {processes} processes, got {config.batch_size}.")
    config = replace(config, bf16=computes_bf16(config.bf16, device))
    demonstrations = open_demonstrations(config.demos, config.selection)
    cut = (config.horizon, config.observation_steps, config.action_steps)
    an_epoch = steps_per_epoch(count_windows(demonstrations.episode_ends, *cut), config.batch_size)
    torch.manual_seed(config.seed)
    policy = build_policy(config, demonstrations).to(device)
    require_fixed_statistics(policy, config.show_batch_norm_trap)
    shape = policy.shape
    windows = Windows(demonstrations, *cut, policy.reads)
    settings = identify(config, windows, policy)
    steps = config.steps or (config.epochs or 0) * an_epoch
    accelerator.print(describe_work(config, device, windows, steps), flush=True)
    windows.to(device)
    augmentation = Augmentation(config.crop_px, config.colour)
    origin = describe_policy(config, demonstrations)
    evaluations = plan_evaluations(config, policy.reads, demonstrations.origin, steps, an_epoch)
    if evaluations is not None and accelerator.is_main_process:
        evaluations.require_playable(policy)

    average = Average(policy, config.ema_power, config.ema_max_decay)
    groups = param_groups(policy, config.lr, config.encoder_lr_multiplier, config.weight_decay)
    optimizer = torch.optim.AdamW(groups, betas=(0.95, 0.999), eps=1e-8, fused=True)
    parts = {"policy": policy, "optimizer": optimizer, "average": average}
    config.output.mkdir(parents=True, exist_ok=True)
    checkpoint = config.output / "checkpoint.pt"
    step, waiting = load_checkpoint(checkpoint, settings, parts)
    require_shared_folder(accelerator, step)
    losses = [loss.to(device) for loss in waiting or []]  # not logged yet
    if evaluations is not None:
        evaluations.resume(step)
    if accelerator.is_main_process:
        placed = replace(config, demos=config.demos.resolve())  # found again from any folder
        write_settings(config.output / "config.json", asdict(placed))
    if config.compile:
        policy.compile_networks()
    model, optimizer = accelerator.prepare(policy, optimizer)
    model.train()
    log = Log(config.output / "log.jsonl", step, steps, accelerator.is_main_process)
    saved = step or None

    def save(step: int) -> None:
        """Keep the state after a step, once, whoever asks for it: gigabytes at the published sizes."""
        nonlocal saved
        if accelerator.is_main_process and step != saved:
            save_checkpoint(checkpoint, settings, step, parts, require_finite(step, losses))
            saved = step

    with closing(log), StopRequest() as stop:
        while True:
            evaluating = evaluations is not None and evaluations.due(step)
            if evaluations is not None and evaluating:
                began = time.monotonic()
                save(step)
                if accelerator.is_main_process:
                    evaluations.run(step, average.policy, origin, lambda: stop.requested)
                accelerator.wait_for_everyone()
                evaluations.resume(step)
                log.pause(since=began)
            if step == steps or all_leave(accelerator, stop.requested, evaluating or step % config.log_every == 0):
                break
            generator = generator_of(config.seed, step)
            noise, timesteps = policy.draw_noise(config.batch_size, generator)
            batch = windows[batch_indices(len(windows), config.batch_size, config.seed, step)[share].to(device)]
            for camera in shape.image_keys:
                drawn = augmentation.draw(config.batch_size, generator)
                batch[camera] = augmentation(batch[camera], drawn[share])
            rate = warmup_cosine(step, min(config.warmup_steps, steps // 2), steps)
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * rate

            with torch.autocast(device.type, torch.bfloat16, enabled=bool(config.bf16)):
                loss = model(batch, noise[share], timesteps[share])
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            average.update(policy)

            step += 1
            losses.append(loss.detach())
            if step % config.log_every == 0 or step == steps:
                mean: Any = accelerator.reduce(torch.stack(losses).mean(), "mean")
                log.write(step, step / an_epoch, mean.item(), config.lr * rate)  # the only copy to the host
                losses.clear()
            if step % config.save_every == 0:
                save(step)

    save(step)
    finished = step == steps and (evaluations is None or not evaluations.due(step))
    if accelerator.is_main_process:
        if finished:
            average.policy.save(config.output / "policy", {**origin, "step": step})
            shutil.rmtree(config.output / STOPPED, ignore_errors=True)
            draw_curves(config.output)
        else:  # to try, before the run goes on
            average.policy.save(config.output / STOPPED, {**origin, "step": step})
    accelerator.end_training()
    return finished


def identify(config: Config, windows: Windows, policy: DiffusionPolicy) -> dict[str, Any]:
    """What a run must share with the one that it continues: settings, demonstrations, the weights it started from."""
    started_from = [policy.encoder_of(index).saved for index in range(max(1, len(policy.shape.cameras)))]
    return {
        **{name: value for name, value in asdict(config).items() if name not in MAY_DIFFER},
        "windows": windows.fingerprint(),
        "weights": [saved["origin"] for saved in started_from],
        "weights_sha256": [saved.get("weights_sha256") for saved in started_from],
    }


def build_policy(config: Config, demonstrations: Demonstrations) -> DiffusionPolicy:
    """The policy before its first step, its normalisers fitted to all demonstrations.

    Raises:
        ValueError: settings that do not fit the demonstrations or the encoder, or that it would not use.
    """
    first = pretrained(config)
    cameras = {"image": ("image",), "point_cloud": ("point_cloud",), None: ()}[first.reads]
    if config.cameras is not None:
        cameras = config.cameras
    elif first.reads == "image":
        require_one_camera(demonstrations)
    observed = {key: observed_array(demonstrations, key) for key in cameras}
    require_use(config, cameras)
    others = len(cameras) - 1 if config.separate_encoders else 0
    encoders = [first, *(pretrained(config) for _ in range(others))]
    denoising = {"ddim": PolicyShape.inference_steps, "ddpm": PolicyShape.diffusion_steps}
    shape = PolicyShape(
        state_size=demonstrations.agent_pos.shape[1],
        action_size=demonstrations.actions.shape[1],
        horizon=config.horizon,
        observation_steps=config.observation_steps,
        action_steps=config.action_steps,
        channels=config.channels,
        cameras=cameras,
        frames_px=tuple(images.shape[1:3] for key, images in observed.items() if is_camera(key)),
        crop_px=config.crop_px,
        prediction=config.prediction,
        sampler=config.sampler,
        inference_steps=denoising[config.sampler] if config.inference_steps is None else config.inference_steps,
    )
    policy = DiffusionPolicy(shape, encoders)
    policy.agent_pos.fit(torch.from_numpy(demonstrations.agent_pos))
    policy.actions.fit(torch.from_numpy(demonstrations.actions))
    if first.reads == "point_cloud":
        first.fit_points(torch.from_numpy(observed["point_cloud"]))
    return policy


def require_use(config: Config, cameras: Sequence[str]) -> None:
    """Raise a ValueError for a setting that a policy of these cameras with this encoder would not use."""
    images = sum(map(is_camera, cameras))
    learns = bool(cameras) and not config.freeze_encoder
    unused = {
        "crop_px": (config.crop_px is not None and not images, "the policy reads no image"),
        "colour": (config.colour != 0 and not images, "the policy reads no image"),
        "separate_encoders": (config.separate_encoders and len(cameras) < 2, "the policy has one camera at most"),
        "freeze_encoder": (config.freeze_encoder and not cameras, f"{config.encoder} has nothing to freeze"),
        "encoder_lr_multiplier": (config.encoder_lr_multiplier != 1 and not learns, "the encoder does not learn"),
    }
    for name, (given, reason) in unused.items():
        if given:
            raise ValueError(f"{name}: {reason}; leave it out.")


def require_one_camera(demonstrations: Demonstrations) -> None:
    """Raise a ValueError where a policy that nobody told which cameras to read would overlook some."""
    if not demonstrations.cameras:
        return
    keys = ["image", *(f"image_{name}" for name in demonstrations.cameras)]
    named = named_keys(demonstrations.origin, keys)
    raise ValueError(f"cameras: these demonstrations have several, {named}; name those to read.")


def pretrained(config: Config) -> PolicyEncoder:
    """An encoder as fine-tuning starts from it."""
    encoder = load_encoder(
        config.encoder,
        config.checkpoint,
        config.norm,
        readout=config.readout,
        image_size_px=config.encoder_image_size_px,
        allow_batch_norm=config.show_batch_norm_trap,
    )
    return encoder.freeze() if config.freeze_encoder else encoder


def plan_evaluations(
    config: Config, reads: tuple[str, ...], origin: dict[str, Any], steps: int, an_epoch: int
) -> Evaluations | None:
    """What the settings ask for."""
    if config.eval_every_epochs is None:
        return None
    return Evaluations(
        folder=config.output,
        task=learned_task(origin, reads),
        every=config.eval_every_epochs * an_epoch,
        steps=steps,
        steps_per_epoch=an_epoch,
        episodes=config.eval_episodes,
        processes=config.eval_processes,
    )


def describe_policy(config: Config, demonstrations: Demonstrations) -> dict[str, Any]:
    """What a saved policy says about where it comes from."""
    trap = {"batch_norm_trap": True} if config.show_batch_norm_trap else {}
    facts = {"encoder": config.encoder, "checkpoint": config.checkpoint, "bf16": config.bf16}
    return {**demonstrations.origin, **facts, **trap}


def describe_work(config: Config, device: torch.device, windows: Windows, steps: int) -> str:
    """Where a run computes, on how much, for how long, in a line."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    size = f"{len(windows):,} windows of demonstrations ({windows.nbytes / 1e6:,.1f} MB)"
    return f"{where}, {'bfloat16' if config.bf16 else 'float32'}: {size}, {steps:,} steps of {config.batch_size}"


def require_shared_folder(accelerator: Accelerator, step: int) -> None:
    """Raise a ValueError where processes found checkpoints of different steps, and would diverge in silence."""
    found: Any = accelerator.gather(torch.tensor([step], device=accelerator.device))
    if len(set(found.tolist())) > 1:
        raise ValueError(
            f"output: the processes found checkpoints of steps {found.tolist()}; name a folder that all machines share."
        )


def all_leave(accelerator: Accelerator, requested: bool, ask: bool) -> bool:
    """Whether to stop before this step: a single process decides alone, several ask each other where `ask` says so."""
    if accelerator.num_processes == 1:
        return requested
    if not ask:
        return False
    requests: Any = accelerator.reduce(torch.tensor(float(requested), device=accelerator.device))
    return bool(requests > 0)


def preset_for(name: str, arguments: list[str]) -> Config:
    """A preset whose length gives way where the command line says `--steps` or `--epochs`."""
    given = {argument.partition("=")[0] for argument in arguments}
    preset = PRESETS[name]
    if "--steps" in given and "--epochs" not in given:
        return replace(preset, epochs=None, steps=1)
    if "--epochs" in given and "--steps" not in given:
        return replace(preset, steps=None, epochs=1)
    return preset


def main() -> None:
    """`xdistill finetune`."""
    keep_freed_memory()
    parser = argparse.ArgumentParser(prog="xdistill finetune", add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", choices=PRESETS, default="dp3")
    preset, arguments = parser.parse_known_args()
    description = (
        "Fine-tune an encoder with a diffusion policy head. "
        f"--preset {{{','.join(PRESETS)}}} chooses the defaults shown here; without it they are dp3's, for a GPU."
    )
    default = preset_for(preset.preset, arguments)
    try:
        config = tyro.cli(Config, default=default, args=arguments, prog="xdistill finetune", description=description)
        with sole_run(config.output):
            finished = train(config)
    except (OSError, ValueError, FloatingPointError, RenderingError) as error:
        raise SystemExit(f"xdistill finetune: {error}") from error
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise SystemExit(
            f"xdistill finetune: no memory left: {str(error).partition(chr(10))[0]} Smaller frames take less "
            "(--selection.image-size-px; bundled encoders know about 112 px), and a smaller --batch-size."
        ) from error
    if not finished:
        if is_first_process():
            so_far = f"{config.output / STOPPED} holds the policy so far"
            print(f"stopped; the same command continues. {so_far}.", file=sys.stderr)
        sys.exit(130)
    if not is_first_process():
        return
    policy = config.output / "policy"
    print(f"policy: {policy}")
    if {"task", "image_size_px"} <= read_config(policy)["origin"].keys():  # a simulator shows squares of that size
        print(f"try it: xdistill rollout --policy {policy} --output {config.output / 'rollout'}")
    else:
        print(f"its actions beside recorded ones: xdistill replay --policy {policy} --demos {config.demos}")


if __name__ == "__main__":
    main()
