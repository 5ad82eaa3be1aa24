"""Compute the teacher cache: `xdistill targets`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from distillation.cache.build import build_cache
from distillation.cache.card import cache_card
from distillation.cache.facts import Facts, describe_teacher
from distillation.cache.hub import upload
from distillation.cache.plan import plan_targets
from distillation.cache.repairs import discard_repaired
from distillation.cache.store import TargetCache
from distillation.cache.verify import require_exact, verify
from distillation.datasets import Images, open_images, require_seed
from distillation.interrupts import StopRequest
from distillation.provenance import describe_run
from distillation.sources.damage import DamageLog
from distillation.sources.decoded import find_decoded, keep_decoded
from distillation.sources.remote import SHARD_CACHE, SHARD_CACHE_GB
from distillation.teachers import Embedding, Teacher, load_teacher
from distillation.training.loading import told
from distillation.training.precision import Precision, resolve_precision
from distillation.training.processes import device_name, this_process
from distillation.training.runlog import write_text
from distillation.views import AugmentationName, augmentation_of
from xdistill_encoder.freed_memory import keep_freed_memory

PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class Config:
    """Settings of one teacher cache."""

    teacher: tuple[str, ...] = ("timm/vit_large_patch14_dinov2.lvd142m",)
    """"timm/<model>", "hf/<org>/<name>", either with "@revision", or a folder; several lie side by side."""
    teacher_image_size: int | None = 224
    """Side in px of the teachers' views; None: that of each one's configuration (518 for DINOv2 in timm)."""
    embedding: Embedding = "cls"
    """The [CLS] token, or "avg", the mean of the patch tokens."""
    images: tuple[str, ...] = ("ILSVRC/imagenet-1k",)
    """Parquet files, image folders, tar shards, a Hub dataset id, robot frames: see distillation/README.md."""
    split: str = "train"
    """Of a Hub dataset."""
    output: Path = Path("runs/targets")
    """Folder of the cache; an unfinished one in it is resumed."""
    views_per_image: int = 4
    """Views of each image, which training shows in turn, epoch after epoch."""
    augmentation: AugmentationName = "paper"
    """"paper": random resized crop and flip; "strong": colour and blur too."""
    min_scale: float | None = None
    """Smallest share of an image's area in a crop; None: that of `augmentation`."""
    seed: int = 0
    """Of the views."""
    patch_grid: int | None = None
    """Keep the first teacher's patch tokens, pooled to this height and width, for the patch loss. None: do not."""
    shard_rows: int = 8192
    """Rows a file; a build that is interrupted loses at most so many."""
    batch_size: int = 512
    """Images a forward pass; best a divisor of `shard_rows`."""
    mixed_precision: Precision = "auto"
    """Of the forward pass; auto: bf16 where the hardware computes it natively. Stored is float16."""
    compile: bool = False
    """Run the teachers through torch.compile; worth its minute for long builds. Needs a C++ compiler."""
    workers: int = 8
    """Processes that decode images, for each process of the build."""
    max_damaged: float = 0.001
    """Share of images that may be unreadable; they are left out and listed in `damaged-<process>.txt`."""
    shard_cache: Path = SHARD_CACHE
    """Folder for shards that are fetched from URLs; processes and runs on one machine share it."""
    shard_cache_gb: float = SHARD_CACHE_GB
    """Limit of that folder in 10^9 bytes; where it is less than all shards take, old ones are deleted."""
    decoded: Path | None = None
    """Folder on a local disk that keeps all images decoded, 3 bytes per pixel; None: decode at every view."""
    plan: bool = False
    """State rows, disk and hours from a short measurement, and write nothing."""
    push: str | None = None
    """"org/name": publish the whole cache as this dataset on the Hub."""

    def __post_init__(self):
        if not self.teacher:
            raise ValueError("teacher: expected one or more, got none")
        for field in ("views_per_image", "shard_rows", "batch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: expected 1 or more, got {getattr(self, field)}")
        if not 0 <= self.max_damaged <= 1:
            raise ValueError(f"max_damaged: expected a share in [0, 1], got {self.max_damaged}")
        require_seed(self.seed)
        if self.shard_cache_gb <= 0:
            raise ValueError(f"shard_cache_gb: expected a number above 0, got {self.shard_cache_gb}")
        if self.patch_grid is not None and self.patch_grid < 1:
            raise ValueError(f"patch_grid: expected 1 or more, or None, got {self.patch_grid}")


def build(config: Config, images: Images | None = None) -> TargetCache:
    """Compute what is missing of a cache, as one of the processes that torchrun or SLURM started, or alone.

    Shards that lack images which can be read by now are computed again. SIGINT and SIGTERM end it after the batch;
    whole shards stay. With `config.plan` nothing is computed or deleted.

    Args:
        images: those of `config.images`, or a part of them that the caller has chosen; None: all.

    Raises:
        ValueError: wrong settings; a folder that holds another cache; a precision too coarse for a teacher; too many
            damaged images; a failed upload.
        OSError: the folder cannot be written.
        SystemExit: it was asked to stop.
    """
    process = this_process()
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", process.local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    if images is None:
        images = open_images(config.images, config.split, config.shard_cache, config.shard_cache_gb)
    teachers = [load_teacher(spec, config.teacher_image_size, config.embedding).to(device) for spec in config.teacher]
    for teacher in teachers:
        if teacher.size_note and process.rank == 0:
            print(teacher.size_note)
    facts = make_facts(config, images, teachers, device)
    if config.compile:
        for teacher in teachers:
            teacher.compile()
    precision = resolve_precision(config.mixed_precision)
    loading = {"batch_size": config.batch_size, "workers": config.workers}
    if config.plan:
        if config.decoded is not None:
            images = find_decoded(images, config.decoded)
        cache = TargetCache.plan(config.output, facts)
        plan = plan_targets(cache, images, teachers, device, precision, PROBE_SECONDS, **loading)
        print(plan.describe(process.count))
        return cache

    cache = TargetCache.create(config.output, facts)
    if config.decoded is not None and cache.missing():
        images = keep_decoded(images, config.decoded, config.workers)
    mine = cache.share(process.rank, process.count)
    if repaired := discard_repaired(cache, images, mine):
        print(f"{repaired} shards are computed again: images in them could not be read then, and can be now")
    todo = f"{len(cache.missing())} of {len(cache.shards())} shards missing"
    print(f"{len(images):,} images x {config.views_per_image} views, {todo} -> {config.output}")
    if cache.missing():
        cache.add_launch(facts.made)
        require_exact(facts, images, teachers, device=device)
    damage = DamageLog(config.output / f"damaged-{process.rank}.txt", images, config.max_damaged)
    with StopRequest() as stop:
        if not build_cache(cache, images, teachers, mine, device, precision, stop=stop, damage=damage, **loading):
            stop.leave("whole shards are kept; the same command computes the rest")
    if missing := cache.missing():
        print(f"{len(missing)} shards are left to other processes; the last of them finishes the cache")
        return cache
    verify(cache, images, teachers, device=device)
    damage.require_few()
    print(f"whole, and verified; train with: xdistill distill --targets {config.output}")
    if config.push:
        print(push(cache, config.push))
    return cache


def make_facts(config: Config, images: Images, teachers: Sequence[Teacher], device: torch.device) -> Facts:
    """What the cache's embeddings are a function of."""
    return Facts(
        images_fingerprint=images.fingerprint,
        images_count=len(images),
        seed=config.seed,
        views=config.views_per_image,
        augmentation=augmentation_of(config.augmentation, config.min_scale),
        teachers=tuple(map(describe_teacher, teachers, config.teacher)),
        shard_rows=config.shard_rows,
        patch_grid=config.patch_grid,
        precision=resolve_precision(config.mixed_precision),
        sources=tuple(Path(source).name if Path(source).exists() else source for source in config.images),
        made=describe_run() | {"split": config.split, "device": device_name(device)},
    )


def push(cache: TargetCache, repo_id: str) -> str:
    """Publish a whole cache with its card; returns the commit's URL.

    Raises:
        ValueError: shards are missing, or the upload failed.
    """
    cache.require_whole()
    write_text(cache.folder / "README.md", cache_card(cache.facts, repo_id))
    return upload(cache.folder, repo_id)


def main() -> None:
    """Read the command line and build."""
    keep_freed_memory()
    description = (
        "Compute a teacher's embeddings of views of all images, once, for `xdistill distill --targets`. The processes "
        "of torchrun or srun, or those told RANK and WORLD_SIZE by hand, share the work; the same command resumes it."
    )
    try:
        build(tyro.cli(Config, prog="xdistill targets", description=description))
    except (ValueError, OSError) as error:
        raise SystemExit(f"xdistill targets: {told(error)}") from error


if __name__ == "__main__":
    main()
