"""Train the encoder to imitate its teachers: `xdistill distill`."""

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal, cast

import torch
import tyro
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, is_tensorboard_available, is_wandb_available, set_seed
from torch import Tensor

from distillation.cache.facts import Facts, asked_teacher, describe_teacher
from distillation.datasets import (
    Images,
    Views,
    epoch_order,
    open_images,
    prefetching,
    require_seed,
    some_images,
)
from distillation.interrupts import StopRequest
from distillation.provenance import describe_run
from distillation.sources.damage import DamageLog
from distillation.sources.decoded import find_decoded, keep_decoded
from distillation.sources.remote import SHARD_CACHE, SHARD_CACHE_GB
from distillation.student_files import ENCODER_FOLDER, is_exported
from distillation.students import Student, StudentNorm
from distillation.teachers import Embedding, Teacher
from distillation.training.averaging import Average
from distillation.training.batches import Curriculum, MicroBatches
from distillation.training.checkpointing import Stateful, load_checkpoint, save_checkpoint
from distillation.training.health import Health
from distillation.training.history import History
from distillation.training.identity import describe_making, identify
from distillation.training.loading import stream, told
from distillation.training.monitor import Monitor
from distillation.training.objective import Objective, imitation_loss, parse_losses
from distillation.training.plan import measure_plan
from distillation.training.precision import Precision, resolve_precision
from distillation.training.processes import device_name, require_same, this_process
from distillation.training.run_lock import sole_run
from distillation.training.runlog import LOG_FILE, RunLog
from distillation.training.schedule import lr_factor
from distillation.training.standardization import statistics
from distillation.training.supervision import (
    CachedTeachers,
    OnlineTeachers,
    Supervision,
    first_embeddings,
    first_views,
    load_teachers,
)
from distillation.training.synced_norm import synced
from distillation.views import Augmentation, AugmentationName, augmentation_of
from xdistill_encoder.freed_memory import keep_freed_memory

STOPPED_FOLDER = "stopped"
"""Of a run's folder: the encoder of a run that was stopped, as far as it came."""
TRACKERS = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}
"""Name -> whether it is installed, without which accelerate leaves it out in silence."""
CALIBRATING_VIEWS = 256  # at 64 px still a thousand positions of each channel of the last map
STANDARDIZING_VIEWS = 4096  # a mean over so many is within 2 % of a standard deviation


@dataclass(frozen=True)
class Config:
    """Settings of one distillation; the defaults are the paper's, and where it is silent (README) our choice."""

    teacher: tuple[str, ...] = ("timm/vit_large_patch14_dinov2.lvd142m",)
    """"timm/<model>", "hf/<org>/<name>", either with "@revision", or a folder; several are imitated at once."""
    teacher_image_size: int | None = 224
    """Side in px of the teacher's views; None: that of its configuration (518 for DINOv2 in timm)."""
    embedding: Embedding = "cls"
    """Which of the teacher's embeddings is imitated: [CLS], or the average of its patch tokens."""
    targets: str | None = None
    """Teacher cache (`xdistill targets`), a folder or a Hub dataset id; None: the teacher runs online."""
    verify_targets: int = 32
    """Rows of a cache that the teacher computes again before training starts; 0: the teacher is not needed."""
    images: tuple[str, ...] = ("ILSVRC/imagenet-1k",)
    """Parquet files, image folders, tar shards, a Hub dataset id, robot frames: see distillation/README.md."""
    split: str = "train"
    """Of a Hub dataset."""
    max_damaged: float = 0.001
    """Share of images that may be unreadable; they are skipped and listed in `damaged-<process>.txt`."""
    shard_cache: Path = SHARD_CACHE
    """Folder for shards that are fetched from URLs; processes and runs on one machine share it."""
    shard_cache_gb: float = SHARD_CACHE_GB
    """Limit of that folder in 10^9 bytes; where it is less than all shards take, old ones are deleted."""
    decoded: Path | None = None
    """Folder on a local disk that keeps all images decoded, 3 bytes per pixel; None: decode at every view."""
    output: Path = Path("runs/distill")
    """Folder for the checkpoint, the log and the encoder; an unfinished run in it is resumed."""
    backbone: str = "resnet18"
    """Student: "resnet18", the encoder; "resnet34", "resnet50" or "timm/<model>", for comparison."""
    norm: StudentNorm = "batch"
    """Layers of a ResNet student: "batch" or "group"."""
    head_norm: bool = False
    """A batch norm between the student's features and its linear layer, into which it is folded in the end."""
    image_size: int = 224
    """Side in px of the student's views."""
    first_image_size: int | None = None
    """Side in px in the first epoch; it grows in steps of 16 px, and the last third of the epochs, at least the last
    one, has `image_size`. None: constant."""
    augmentation: AugmentationName = "paper"
    """"paper": random resized crop and flip; "strong": colour and blur too."""
    min_scale: float | None = None
    """Smallest share of an image's area in a crop; None: that of `augmentation`."""
    views_per_image: int | None = None
    """Views an image that are shown in turn, epoch after epoch; None: other views every epoch. A cache has its own."""
    loss: tuple[str, ...] = ("mse",)
    """Of mse, cosine, smooth_l1, relational, patch; weighted as "cosine:0.5", summed."""
    standardize: bool = False
    """Imitate embeddings of mean 0 and variance 1 in every dimension; several teachers always are standardised."""
    queue_size: int = 4096
    """Teacher embeddings to which the relational loss compares."""
    epochs: int = 100
    """Passes over the images."""
    max_steps: int | None = None
    """End after so many steps; the learning rate falls to 0 by then. None: after `epochs`."""
    batch_size: int = 512
    """Images a step, over all processes."""
    accumulation: int = 1
    """Parts in which each process computes its share of a batch, for GPUs of little memory; batch norm then sees one
    part, that of all processes together, and not the whole batch."""
    lr: float = 2e-3
    """Highest learning rate of AdamW; reached after the warm-up, then a cosine to 0."""
    weight_decay: float = 0.05
    """Of matrices and kernels."""
    warmup_share: float = 0.05
    """Share of the steps in which the learning rate rises linearly."""
    clip: float | None = None
    """Largest norm of the gradient; None: as it is."""
    ema: float | None = None
    """Decay of an exponential moving average of the student, which is then exported; None: none."""
    mixed_precision: Precision = "auto"
    """Of the forward passes; weights stay float32. auto: bf16 where the hardware computes it natively."""
    compile: bool = False
    """Run teacher and student through torch.compile; worth its minutes for long runs. Needs a C++ compiler."""
    workers: int = 8
    """Processes that decode images, for each training process."""
    seed: int = 0
    """Of initialisation, order and views."""
    log_every: int = 20
    """Steps between log lines."""
    save_every: int = 500
    """Steps between checkpoints."""
    track: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Trackers that get the log too; the JSONL file is always written."""
    score_bank: tuple[str, ...] = ()
    """Labelled images in which neighbours are looked up, to score the student while it learns."""
    score_queries: tuple[str, ...] = ()
    """Labelled images that are classified."""
    score_bank_split: str = "train"
    """Of the bank, where it is a Hub dataset."""
    score_queries_split: str = "validation"
    """Of the queries, where they are a Hub dataset."""
    score_every: int = 5
    """Epochs between scores, where `score_bank` and `score_queries` are given; the first is taken before step 1."""
    warm_start: str | None = None
    """Checkpoint (bundled name, folder, Hub id) whose weights the student starts from."""
    name: str | None = None
    """Name of the exported encoder; None: made from teacher, images and norm."""
    plan: bool = False
    """Only measure this machine for a minute; state images/s, hours and disk."""

    def __post_init__(self):
        for field in (
            "epochs",
            "batch_size",
            "accumulation",
            "image_size",
            "lr",
            "log_every",
            "save_every",
            "score_every",
            "queue_size",
            "shard_cache_gb",
        ):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field}: expected a number above 0, got {getattr(self, field)}")
        for field in ("views_per_image", "max_steps", "clip", "teacher_image_size", "first_image_size"):
            if getattr(self, field) is not None and getattr(self, field) <= 0:
                raise ValueError(f"{field}: expected a number above 0, or None, got {getattr(self, field)}")
        for field in ("workers", "verify_targets"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field}: expected 0 or more, got {getattr(self, field)}")
        require_seed(self.seed)
        for field in ("warmup_share", "max_damaged"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field}: expected a share in [0, 1], got {getattr(self, field)}")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"batch_size: {self.batch_size} cannot be cut into {self.accumulation} equal parts (accumulation); "
                f"take a multiple of {self.accumulation}"
            )
        if self.head_norm and self.batch_size // self.accumulation < 2:
            raise ValueError(
                f"head_norm: a batch norm needs 2 images or more at once, got batch_size {self.batch_size} in "
                f"{self.accumulation} parts (accumulation)"
            )
        if self.first_image_size is not None and self.first_image_size > self.image_size:
            raise ValueError(f"first_image_size: expected at most image_size, got {self.first_image_size}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema: expected a decay in (0, 1), such as 0.999, or None, got {self.ema}")
        if bool(self.score_bank) != bool(self.score_queries):
            raise ValueError("score_bank, score_queries: a score needs both")
        if len(self.teacher) == 0:
            raise ValueError("teacher: expected at least one")
        parse_losses(self.loss)

    @property
    def drawn(self) -> Augmentation:
        """What views are drawn from."""
        return augmentation_of(self.augmentation, self.min_scale)


MAY_DIFFER = (
    *("output", "images", "split", "teacher", "targets", "warm_start", "name", "plan", "workers", "log_every"),
    *("save_every", "track", "verify_targets", "max_damaged", "score_bank", "score_queries", "score_every"),
    *("score_bank_split", "score_queries_split", "shard_cache", "shard_cache_gb", "decoded"),
)
"""Settings that may change when a run is resumed: habits, and places, where fingerprints tell what lies there."""

PRESETS = {
    "paper": Config(),
    "best": Config(loss=("mse", "relational"), standardize=True),
    "cpu": Config(
        image_size=96, first_image_size=64, epochs=9, batch_size=128, compile=True, workers=1, save_every=200
    ),
}
"""paper: the published loss; best: highest in results/ablation.csv; cpu: the published loss, in hours on two cores."""


def train(config: Config, images: Images | None = None) -> Path:
    """Distil; returns the folder of the exported encoder, which `XDistillResNet18.from_pretrained` reads.

    A run that was interrupted goes on where it stopped, to the same result. SIGINT and SIGTERM save and leave. Under
    `torchrun` all processes share each batch, and the result is that of one process.

    Args:
        images: those of `config.images`, or a part of them that the caller has chosen; None: all.

    Raises:
        ValueError: wrong settings; images, cache or output folder that do not fit them.
        OSError: the output folder cannot be written; what was saved before stays.
        FloatingPointError: the loss or the weights are not finite; names the step; what was saved before stays.
        SystemExit: the run was asked to stop; the checkpoint is written.
    """
    config = replace(config, mixed_precision=resolve_precision(config.mixed_precision))
    accelerator = start_processes(config)
    run = make_run(config, accelerator, images)
    with sole_run(config.output, accelerator.is_main_process):
        return distil(config, accelerator, run)


@dataclass
class Run:
    """What a run consists of; nothing is written for it."""

    images: Images
    supervision: Supervision
    curriculum: Curriculum
    student: Student
    objective: Objective
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    average: Average | None
    history: History
    settings: dict[str, Any]
    """Those that change the result."""

    @property
    def learned(self) -> Student:
        """The student that is scored and exported."""
        return self.student if self.average is None else self.average.student

    def stateful(self, scaler: Stateful | None) -> dict[str, Stateful | None]:
        """Name -> what a checkpoint holds."""
        parts: dict[str, Stateful | None] = {"model": self.student, "optimizer": self.optimizer}
        parts |= {"scheduler": self.scheduler, "objective": self.objective, "average": self.average}
        return parts | {"scaler": scaler, "history": self.history}


def make_run(config: Config, accelerator: Accelerator, images: Images | None = None) -> Run:
    """The parts of a run, on its device, before its first step.

    Raises:
        ValueError: images, cache, teachers and settings that do not fit each other.
    """
    device = accelerator.device
    launch = describe_run() | {"device": device_name(device), "processes": accelerator.num_processes}
    if images is None:
        images = open_images(config.images, config.split, config.shard_cache, config.shard_cache_gb)
    supervision = open_supervision(config, images, device)
    set_seed(config.seed)  # after the teacher, which draws weights before it loads its own
    curriculum = make_curriculum(config, images, supervision)
    student = make_student(config, supervision).to(memory_format=torch.channels_last).to(device)
    require_sizes(student, curriculum)
    if accelerator.num_processes > 1:
        synced(student, device)
    optimizer = torch.optim.AdamW(student.param_groups(config.lr, config.weight_decay))
    in_effect = replace(config, views_per_image=curriculum.views_per_image)  # a cache has its own
    return Run(
        images=images,
        supervision=supervision,
        curriculum=curriculum,
        student=student,
        objective=Objective(parse_losses(config.loss), supervision.widths, config.queue_size).to(device),
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(step, curriculum.steps, config.warmup_share)
        ),
        average=None if config.ema is None else Average(student, config.ema),
        history=History(launch, student.origin),
        settings={key: value for key, value in asdict(in_effect).items() if key not in MAY_DIFFER},
    )


def distil(config: Config, accelerator: Accelerator, run: Run) -> Path:
    """Take the steps that a run has not taken yet; returns the folder of the exported encoder."""
    device, processes = accelerator.device, accelerator.num_processes
    curriculum, supervision, objective, student = run.curriculum, run.supervision, run.objective, run.student
    accelerator.print(f"{len(run.images):,} images, teacher {supervision.name}, {config.backbone} -> {config.output}")
    identity = identify(run.settings, run.images, supervision, student)
    parts = run.stateful(accelerator.scaler)
    start = load_checkpoint(config.output, identity, parts)
    require_same(accelerator, start, config.output)
    if start:
        accelerator.print(f"resumed at step {start:,} of {curriculum.steps:,}")
    if config.track:
        accelerator.init_trackers("xdistill", identity, {"wandb": {"dir": str(config.output)}})
    order = partial(epoch_order, run.images, config.seed)
    keys = MicroBatches(curriculum, order, start, accelerator.process_index, processes, config.accumulation)
    monitor = make_monitor(config, accelerator, start, supervision.teachers)
    if config.decoded is not None:  # may take hours, so it comes after all that may be refused
        run.images = keep_decoded(run.images, config.decoded, config.workers)
    keys.prefetch = prefetching(run.images)
    views = Views(run.images, config.seed, config.drawn, supervision.view_sizes)
    if start == 0:
        fit(student, config, views, supervision, accelerator)
    if config.compile:
        student.compile()
    # The optimizer's state lies right: on a GPU AdamW's counters stay on the CPU, where no step waits for them.
    model, optimizer = accelerator.prepare(student, run.optimizer, device_placement=[True, False])

    health = Health(accelerator, config.output, lambda step: keys.images(step - 1).tolist())
    damage_file = config.output / f"damaged-{accelerator.process_index}.txt"
    damage = DamageLog(damage_file, run.images, config.max_damaged)
    log = RunLog(config.output / LOG_FILE, accelerator, config.batch_size, start, curriculum.steps)
    run.history.begin()
    scored = monitor.steps(config.score_every * curriculum.steps_per_epoch, curriculum.steps)
    if start in scored:  # at 0, so that what cannot be scored is told at once; later it may have been stopped before
        log.skip(monitor.measure(start, run.learned if start else student, config.image_size))  # an average begins at 1

    with StopRequest(processes) as stop, closing(stream(views, keys, config.workers)) as batches:
        for step in range(start + 1, curriculum.steps + 1):
            view = curriculum.view(curriculum.epoch(step - 1))
            loss, targets_of_step = torch.zeros((), device=device), []
            for _ in range(config.accumulation):
                batch = log.wait_for(batches)
                damage.record(batch["asked"], batch["index"])
                with accelerator.accumulate(model):
                    with accelerator.autocast():
                        targets, target_map = supervision(batch, view)  # (B, D), (B, P, h, w)
                    targets = student.standardized(targets)
                    part_loss = imitation_loss(model, objective, batch["student"], targets, target_map)
                    accelerator.backward(part_loss)
                    if config.clip is not None and accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(model.parameters(), config.clip)
                    optimizer.step()
                    optimizer.zero_grad()
                loss += part_loss.detach() / config.accumulation
                targets_of_step.append(targets)
            if objective.needs_queue:
                objective.update(torch.cat([cast(Tensor, accelerator.gather(part)) for part in targets_of_step]))
            rate = float(run.scheduler.get_last_lr()[0])  # of this step
            run.scheduler.step()
            log.advance()
            if run.average is not None:
                run.average.update(student)
            health.watch(step, loss)

            stopping, last = stop.agreed(), step == curriculum.steps
            if step % config.log_every == 0 or last:
                health.require()
                mean_loss = cast(Tensor, accelerator.reduce(loss, "mean")).item()  # the only device-to-host copy
                log.write(step, loss=mean_loss, lr=rate)
            if step % config.save_every == 0 or step in scored or stopping:
                health.require()
                health.require_weights(step, run.learned)  # an average is not finite where the student was not
                if accelerator.is_main_process:
                    save_checkpoint(config.output, step, identity, parts)
            if stopping and not last:
                if accelerator.is_main_process:  # to look at, or to bring from a machine that is given back
                    name, made = describe_encoder(config, run, step)
                    named = f"{name}-step-{step}"
                    run.learned.save(config.output / STOPPED_FOLDER, named, made | run.history.provenance())
                accelerator.wait_for_everyone()
                stop.leave(f"saved at step {step} of {curriculum.steps}; the same command resumes")
            if step in scored:
                log.skip(monitor.measure(step, run.learned, config.image_size))

    log.close()
    health.require_weights(curriculum.steps, run.learned)
    if accelerator.is_main_process:
        export(config, run, ended_before=start == curriculum.steps)
    accelerator.end_training()
    return config.output / ENCODER_FOLDER


def export(config: Config, run: Run, ended_before: bool) -> None:
    """Write the encoder of a run that has taken its last step, unless an earlier launch did."""
    folder = config.output / ENCODER_FOLDER
    name, made = describe_encoder(config, run, run.curriculum.steps)
    if ended_before and is_exported(folder, name, made):
        print(f"this run has ended before; {folder} holds its encoder, {name}")
    else:
        run.learned.save(folder, name, made | run.history.provenance())
    rmtree(config.output / STOPPED_FOLDER, ignore_errors=True)


def describe_encoder(config: Config, run: Run, step: int) -> tuple[str, dict[str, Any]]:
    """The name of the encoder of a run after a step, and how it was made, beside the history of the run."""
    first_px = config.first_image_size and run.curriculum.image_size(0)
    made = describe_making(run.settings | {"first_image_size": first_px}, run.images, run.supervision)
    name = config.name or default_name(config, made)
    return name, made | run.history.origin | {"steps": step}


def make_monitor(config: Config, accelerator: Accelerator, start: int, teachers: Sequence[Teacher]) -> Monitor:
    """What scores the student while it learns; see `Monitor` for what it refuses."""
    return Monitor(
        config.score_bank,
        config.score_queries,
        config.output,
        accelerator,
        start,
        batch_size=part_size(config, accelerator),
        workers=config.workers,
        bank_split=config.score_bank_split,
        queries_split=config.score_queries_split,
        teachers=teachers,
    )


def part_size(config: Config, accelerator: Accelerator) -> int:
    """Images that a process computes at once, and for which it therefore has the memory."""
    return config.batch_size // (accelerator.num_processes * config.accumulation)


def start_processes(config: Config) -> Accelerator:
    """This process among those that share the batches.

    Raises:
        ValueError: a tracker that is not installed; processes that do not know each other.
    """
    if missing := [tracker for tracker in config.track if not TRACKERS[tracker]()]:
        raise ValueError(f"track: {', '.join(missing)} is not installed; pip install {' '.join(missing)}")
    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),  # without it accelerate overlooks torchrun there
        mixed_precision=config.mixed_precision,
        gradient_accumulation_steps=config.accumulation,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(hours=6))],  # others wait while the main one scores
        log_with=list(config.track) or None,
        project_dir=config.output,
    )
    if this_process().count != accelerator.num_processes:
        raise ValueError(f"srun started {this_process().count} processes that do not know each other; use slurm.sh")
    return accelerator


def open_supervision(config: Config, images: Images, device: torch.device) -> Supervision:
    """The cache that the settings name, checked against them, or the teachers themselves."""
    maps = "patch" in parse_losses(config.loss)
    teachers = []
    if config.targets is None or config.verify_targets:
        teachers = load_teachers(config.teacher, config.teacher_image_size, config.embedding, config.compile, device)
        for teacher in teachers:
            if teacher.size_note and this_process().rank == 0:
                print(teacher.size_note)
    if config.targets is None:
        return OnlineTeachers(teachers, device, maps)
    described = (
        [describe_teacher(*pair) for pair in zip(teachers, config.teacher, strict=True)]
        if teachers
        else [asked_teacher(spec, config.teacher_image_size, config.embedding) for spec in config.teacher]
    )
    facts = Facts(
        images_fingerprint=images.fingerprint,
        images_count=len(images),
        seed=config.seed,
        views=config.views_per_image,
        augmentation=config.drawn,
        teachers=tuple(described),
    )
    cached = CachedTeachers.open(
        config.targets, facts, images, teachers, config.verify_targets, device, maps, config.plan
    )
    if config.score_bank:
        cached.teachers = tuple(teachers)  # scores compare the student with them; else their memory is free again
    return cached


def make_curriculum(config: Config, images: Images, supervision: Supervision) -> Curriculum:
    """What the run shows when."""
    return Curriculum(
        images=len(images),
        batch_size=config.batch_size,
        epochs=config.epochs,
        max_steps=config.max_steps,
        views_per_image=supervision.views_per_image or config.views_per_image,
        first_px=config.first_image_size or config.image_size,
        last_px=config.image_size,
    )


def make_student(config: Config, supervision: Supervision) -> Student:
    """A student from random weights, or one that starts from those of `config.warm_start`."""
    student = Student(supervision.widths, config.backbone, config.norm, supervision.map_channels, config.head_norm)
    if config.warm_start:
        student.start_from(config.warm_start)
    return student


def require_sizes(student: Student, curriculum: Curriculum) -> None:
    """Raise a ValueError where the views grow through a size that a ViT student's patches do not divide."""
    patch = getattr(student.encoder, "patch_px", 1)
    sizes = {curriculum.image_size(epoch) for epoch in range(curriculum.epoch(curriculum.steps - 1) + 1)}
    odd = sorted(size for size in sizes if size % patch)
    if odd:
        raise ValueError(
            f"first_image_size: {student.backbone} takes multiples of {patch} px, the views would have "
            f"{', '.join(map(str, odd))} px in some epochs; choose another image_size, or leave first_image_size out"
        )


def fit(
    student: Student,
    config: Config,
    views: Views,
    supervision: Supervision,
    accelerator: Accelerator,
) -> None:
    """Before step 1, from a sample of the images: set the group norms that replaced batch norms, and the mean and
    standard deviation that standardise the targets."""
    if student.uncalibrated:
        calibrating = some_images(views.images, config.seed, CALIBRATING_VIEWS)
        some_views = first_views(views, calibrating, config.image_size, config.workers)
        student.calibrate(some_views.to(accelerator.device))
    if config.standardize or len(supervision.widths) > 1:
        with accelerator.autocast():
            part = part_size(config, accelerator)
            standardizing = some_images(views.images, config.seed, STANDARDIZING_VIEWS)
            some = first_embeddings(supervision, views, standardizing, part, config.workers)
        student.standardize(*statistics(some))


def plan(config: Config) -> str:
    """Measure the parts of a run on this machine for about a minute; nothing is written."""
    precision = resolve_precision(config.mixed_precision)
    accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision=precision)
    images = open_images(config.images, config.split, config.shard_cache, config.shard_cache_gb)
    if config.decoded is not None:
        images = find_decoded(images, config.decoded)
    run = make_run(replace(config, verify_targets=0, plan=True), accelerator, images)
    part = config.batch_size // config.accumulation if accelerator.device.type == "cuda" else min(64, config.batch_size)
    endless = replace(run.curriculum, batch_size=part, max_steps=None, epochs=10**6)
    keys = MicroBatches(endless, partial(epoch_order, images, config.seed))
    views = Views(images, config.seed, config.drawn, run.supervision.view_sizes)
    if config.compile:
        run.student.compile()
    with closing(stream(views, keys, config.workers)) as batches:
        return measure_plan(
            accelerator,
            run.curriculum,
            batches,
            run.supervision,
            run.student,
            run.objective,
            run.optimizer,
            averaged=run.average is not None,
        ).describe()


def default_name(config: Config, run: dict[str, Any]) -> str:
    """Weights are named for what made them: student, norm, teacher, number of images."""
    count = f"{run['images'] // 1000}k" if run["images"] >= 1000 else str(run["images"])
    return f"{config.backbone.replace('/', '-')}-{config.norm[0]}n-{run['teacher']}-{count}"


def main() -> None:
    """Read the command line, then train or plan."""
    keep_freed_memory()
    parser = argparse.ArgumentParser(prog="xdistill distill", add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", choices=PRESETS, default="paper")
    preset, arguments = parser.parse_known_args()
    description = (
        f"Distil a teacher into the encoder. --preset {{{','.join(PRESETS)}}} chooses the defaults shown here; "
        "without it they are the paper's where it states any, for a GPU."
    )
    failure = None
    try:
        config = tyro.cli(
            Config, default=PRESETS[preset.preset], args=arguments, prog="xdistill distill", description=description
        )
        if config.plan:
            print(plan(config))
        else:
            folder = train(config)
            if this_process().rank == 0:
                print(f"encoder: {folder}")
    except (ValueError, OSError, FloatingPointError) as error:
        failure = told(error)
    except (torch.OutOfMemoryError, MemoryError) as error:
        failure = (
            f"no memory left: {str(error).partition(chr(10))[0]} A part of the batch at a time takes less "
            "(--accumulation 4), as does a smaller --batch-size; a run that was saved has them fixed, so name another "
            "--output."
        )
    if failure is not None:  # outside of `except`: the error, whose frames hold the workers, is gone
        raise SystemExit(f"xdistill distill: {failure}")


if __name__ == "__main__":
    main()
