"""Train the encoder to imitate the teacher: `xdistill distill`."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from distillation.checkpointing import (
    MAY_DIFFER,
    StopRequest,
    load_checkpoint,
    outlive_one_sigterm,
    save_checkpoint,
)
from distillation.datasets import Views, epoch_order, fingerprint, load_table
from distillation.losses import mse
from distillation.provenance import describe_run
from distillation.runlog import RunLog, require_finite
from distillation.schedule import image_size_at, lr_factor
from distillation.students import Student
from distillation.targets import TargetCache, build
from distillation.teachers import Teacher, load_teacher


@dataclass(frozen=True)
class Config:
    """Settings of one distillation; the defaults are the paper's, and where it is silent (README) our choice."""

    teacher: str = "timm/vit_large_patch14_dinov2.lvd142m"
    """"timm/<model>" or "local-dir:<folder>"; its [CLS] embedding is imitated."""
    teacher_image_size: int | None = 224
    """Side in px of the teacher's views; None: that of its configuration (518 for DINOv2 in timm)."""
    images: tuple[str, ...] = ("ILSVRC/imagenet-1k",)
    """Parquet files, folders or globs with a column `image`; or one Hub dataset id."""
    output: Path = Path("runs/distill")
    """Folder for the checkpoint, the log and the encoder; an unfinished run in it is resumed."""
    norm: Literal["batch", "group"] = "batch"
    """Layers of the student: "batch" or "group"."""
    image_size: int = 224
    """Side in px of the student's views."""
    first_image_size: int | None = None
    """Side in px in the first epoch; grows linearly to `image_size` in steps of 16 px. None: constant."""
    min_scale: float = 0.35
    """Smallest share of an image's area in a random resized crop."""
    views_per_image: int | None = None
    """Views an image, whose embeddings are computed once and used again; None: other views every epoch."""
    epochs: int = 100
    """Passes over the images."""
    batch_size: int = 512
    """Images a step."""
    lr: float = 2e-3
    """Highest learning rate of AdamW; reached after the warm-up, then a cosine to 0."""
    weight_decay: float = 0.05
    """Of matrices and kernels."""
    warmup_share: float = 0.05
    """Share of the steps in which the learning rate rises linearly."""
    mixed_precision: Literal["auto", "bf16", "no"] = "auto"
    """Of the forward passes; weights stay float32. auto: bf16 where the hardware computes it natively."""
    compile_teacher: bool = False
    """Run the teacher through torch.compile; worth its minute of compilation for long runs. Needs a C++ compiler."""
    workers: int = 8
    """Processes that decode images."""
    seed: int = 0
    """Of initialisation, order and views."""
    log_every: int = 20
    """Steps between log lines."""
    save_every: int = 500
    """Steps between checkpoints."""
    warm_start: str | None = None
    """Checkpoint (bundled name, folder, Hub id) whose weights the student starts from."""
    name: str | None = None
    """Name of the exported encoder; None: made from teacher, images and norm."""

    def __post_init__(self):
        for field in ("epochs", "batch_size", "image_size", "lr", "log_every", "save_every"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field}: expected a number above 0, got {getattr(self, field)}")
        if self.views_per_image is not None and self.views_per_image < 1:
            raise ValueError(f"views_per_image: expected 1 or more, or None, got {self.views_per_image}")


PRESETS = {
    "paper": Config(),
    "cpu": Config(
        image_size=96,
        first_image_size=64,
        views_per_image=3,
        epochs=9,
        batch_size=128,
        compile_teacher=True,
        workers=1,
        save_every=200,
    ),
}


def train(config: Config) -> Path:
    """Distil; returns the folder of the exported encoder, which `XDistillResNet18.from_pretrained` reads.

    A run that was interrupted goes on where it stopped, to the same result. SIGINT and SIGTERM save and leave.

    Raises:
        ValueError: wrong settings; an output folder that holds a run with other settings.
        FloatingPointError: the loss is not finite; the last checkpoint stays.
        SystemExit: the run was asked to stop; the checkpoint is written.
    """
    accelerator = Accelerator(mixed_precision=resolve_precision(config.mixed_precision))
    if accelerator.num_processes > 1:
        raise ValueError(f"one process only, accelerate started {accelerator.num_processes}")
    set_seed(config.seed)
    table = load_table(config.images)
    steps_per_epoch = len(table) // config.batch_size
    if steps_per_epoch == 0:
        raise ValueError(f"batch_size: {config.batch_size} is more than the {len(table)} images")
    steps = config.epochs * steps_per_epoch
    teacher = load_teacher(config.teacher, config.teacher_image_size).to(accelerator.device)
    if config.compile_teacher:
        teacher.compile()
    student = make_student(config, teacher)
    facts = asdict(config) | {"images_fingerprint": fingerprint(table), "teacher_fingerprint": teacher.fingerprint}
    run = describe_run()
    config.output.mkdir(parents=True, exist_ok=True)
    print(f"{len(table):,} images, teacher {teacher.name}, {config.norm} norm -> {config.output}")

    with StopRequest() as stop:
        targets = None
        if config.views_per_image is not None:
            targets = cached_targets(config, config.views_per_image, table, teacher, accelerator, stop)
        optimizer = torch.optim.AdamW(student.encoder.param_groups(config.lr, weight_decay=config.weight_decay))
        student = student.to(memory_format=torch.channels_last)
        model, optimizer = accelerator.prepare(student, optimizer)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(step, steps, config.warmup_share)
        )
        start = load_checkpoint(config.output, facts, student, optimizer, scheduler)
        log = RunLog(config.output / "log.jsonl", start)
        bar = tqdm(total=steps * config.batch_size, initial=start * config.batch_size, unit="img", unit_scale=True)

        batches = view_batches(config, table, teacher.image_size, start, steps_per_epoch)
        for step, (epoch, batch) in enumerate(batches, start + 1):
            views = batch["student"].to(accelerator.device).contiguous(memory_format=torch.channels_last)
            with accelerator.autocast():
                if targets is None:
                    wanted = teacher(batch["teacher"].to(accelerator.device))  # (B, D)
                else:
                    wanted = targets.read(view_number(config, epoch), batch["index"]).to(accelerator.device)
                loss = mse(model(views), wanted)

            accelerator.backward(loss)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()

            bar.update(config.batch_size)
            if step % config.log_every == 0 or step == steps:
                log.write(
                    step, bar, loss=loss.item(), lr=float(scheduler.get_last_lr()[0])
                )  # the only device-to-host copy
            if step % config.save_every == 0 or step == steps or stop.requested:
                require_finite(step, "loss", loss.item())
                save_checkpoint(config.output, step, facts, student, optimizer, scheduler)
            if stop.requested and step < steps:
                bar.close()
                stop.leave(f"saved at step {step} of {steps}; the same command resumes")
        bar.close()
    return export(config, student, run | {"teacher": teacher.name, "images": len(table), "steps": steps})


def resolve_precision(asked: str) -> str:
    """ "auto" -> "bf16" where the GPU, or the CPU's matrix unit, computes it natively; elsewhere it is slower."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "no"


def make_student(config: Config, teacher: Teacher) -> Student:
    """A new student, or one that starts from the weights of `config.warm_start`."""
    student = Student(config.norm, teacher.num_features)
    if config.warm_start:
        student.start_from(config.warm_start)
    return student


def cached_targets(
    config: Config,
    views_per_image: int,
    table: datasets.Dataset,
    teacher: Teacher,
    accelerator: Accelerator,
    stop: StopRequest,
) -> TargetCache:
    """The teacher's embeddings of all views, computed where they are missing."""
    shape = (views_per_image, len(table), teacher.num_features)
    depends_on = {
        "teacher": teacher.name,
        "teacher_fingerprint": teacher.fingerprint,
        "teacher_image_size": teacher.image_size,
        "images": fingerprint(table),
        "seed": config.seed,
        "min_scale": config.min_scale,
    }
    cache = TargetCache(config.output / "targets", shape, depends_on)

    def views(rows: np.ndarray, view: int) -> Views:
        return Views(table, rows, config.seed, view, config.min_scale, {"teacher": teacher.image_size})

    def embed(images: Tensor) -> Tensor:
        with accelerator.autocast():
            return teacher(images.to(accelerator.device))

    missing = sum(len(cache.missing(view)) for view in range(len(cache.embeddings)))
    with tqdm(total=missing, unit="img", unit_scale=True, desc="teacher", disable=missing == 0) as bar:
        whole = build(
            cache,
            views,
            embed,
            batch_size=config.batch_size,
            workers=config.workers,
            advance=bar.update,
            stop=lambda: stop.requested,
        )
    if not whole:
        stop.leave("embeddings so far are kept; the same command resumes")
    return cache


def view_number(config: Config, epoch: int) -> int:
    """Which view of each image an epoch shows: its own, or one of those that are used again."""
    return epoch % config.views_per_image if config.views_per_image else epoch


def view_batches(
    config: Config, table: datasets.Dataset, teacher_size_px: int, start: int, steps_per_epoch: int
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """(epoch, batch) for every step after the first `start` of the run."""
    for epoch in range(start // steps_per_epoch, config.epochs):
        first = max(0, start - epoch * steps_per_epoch) * config.batch_size
        order = epoch_order(len(table), config.seed, epoch)[first : steps_per_epoch * config.batch_size]
        first_px = config.first_image_size or config.image_size
        sizes_px = {"student": image_size_at(epoch, config.epochs, first_px, config.image_size)}
        if config.views_per_image is None:
            sizes_px["teacher"] = teacher_size_px
        views = Views(table, order.numpy(), config.seed, view_number(config, epoch), config.min_scale, sizes_px)
        loader = DataLoader(
            views, batch_size=config.batch_size, num_workers=config.workers, worker_init_fn=outlive_one_sigterm
        )
        for batch in loader:
            yield epoch, batch


def export(config: Config, student: Student, run: dict[str, Any]) -> Path:
    """Write the encoder; its provenance is the run, its settings, and that of the checkpoint it started from."""
    name = config.name or f"resnet18-{config.norm}-{run['teacher']}-{run['images'] // 1000}k"
    settings = {key: value for key, value in asdict(config).items() if key not in MAY_DIFFER}
    provenance = run | {"settings": settings} | student.origin
    return student.encoder.save_pretrained(config.output / "encoder", name=name, provenance=provenance, half=True)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="xdistill distill", add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", choices=PRESETS, default="paper")
    preset, arguments = parser.parse_known_args()
    description = (
        f"Distil a teacher into the encoder. --preset {{{','.join(PRESETS)}}} chooses the defaults shown here; "
        "without it they are the paper's, for a GPU."
    )
    try:
        config = tyro.cli(
            Config, default=PRESETS[preset.preset], args=arguments, prog="xdistill distill", description=description
        )
        print(f"encoder: {train(config)}")
    except ValueError as error:
        raise SystemExit(f"xdistill distill: {error}") from error


if __name__ == "__main__":
    main()
