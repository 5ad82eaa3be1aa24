"""Go on distilling an encoder on the frames of a robot, without labels and without forgetting: `xdistill adapt`."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro

from distillation import targets, train
from distillation.adapting.agreement import measure
from distillation.adapting.guard import SHARES, WATCHED, between, choose
from distillation.adapting.held_out import hold_out_evenly, hold_out_last
from distillation.datasets import Images, open_images, places, require_seed
from distillation.provenance import describe_run
from distillation.scoring.compared_teachers import check_head, load_compared
from distillation.scoring.encoders import load_encoder
from distillation.sources.concatenation import ConcatenatedImages
from distillation.sources.remote import SHARD_CACHE, SHARD_CACHE_GB
from distillation.student_files import ENCODER_FOLDER
from distillation.teachers import Teacher
from distillation.training.loading import told
from distillation.training.precision import Precision
from distillation.training.processes import this_process
from distillation.training.runlog import write_text
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS, DEFAULT_NORM
from xdistill_encoder.freed_memory import keep_freed_memory
from xdistill_encoder.norms import Norm


@dataclass(frozen=True)
class Config:
    """Settings of one adaptation."""

    frames: tuple[str, ...]
    """The robot's: lerobot:<folder or id>, zarr:, hdf5: or video: with a path, folders of images; `#camera`,
    `?every=n`."""
    teacher: tuple[str, ...]
    """The encoder's teachers, all in the order of its distillation."""
    remember: tuple[str, ...] = ()
    """General images, such as a part of those of its distillation: they are shown too, and the guard watches them.
    Needed, or --unguarded."""
    unguarded: bool = False
    """Adapt without general images: nothing keeps the encoder from forgetting what it knew."""
    max_forgotten: float = 0.02
    """How much the agreement with the teacher may fall on general images that were held out: the explained variance of
    its embedding, and the cosine to it, whichever falls more."""
    encoder: str | None = None
    """Bundled name, folder or Hub id; None: the bundled default."""
    output: Path = Path("runs/adapt")
    """Folder for teacher cache, run, and the adapted encoder; an unfinished adaptation in it is resumed."""
    held_out: float = 0.1
    """Share of the frames of each camera, the last ones, and of general images that are only measured. A camera is an
    entry of --frames: give each folder or video of pictures by itself."""
    image_size: int | None = None
    """Side in px of the student's views; None: that of the encoder's distillation."""
    views_per_image: int = 4
    """Views of each image that the teacher embeds."""
    epochs: int = 8
    """Passes over frames and general images."""
    batch_size: int = 128
    """Images a step."""
    lr: float = 3e-4
    """Highest learning rate."""
    mixed_precision: Precision = "auto"
    """Of the forward passes; auto: bf16 where the hardware computes it natively."""
    workers: int = 2
    """Processes that decode images."""
    seed: int = 0
    """Of views and order."""
    max_damaged: float = 0.001
    """Share of images that may be unreadable; they are skipped and listed."""
    shard_cache: Path = SHARD_CACHE
    """Folder for shards and recordings that are fetched from URLs."""
    shard_cache_gb: float = SHARD_CACHE_GB
    """Limit of that folder in 10^9 bytes."""

    def __post_init__(self):
        if not self.remember and not self.unguarded:
            raise ValueError(
                "remember: give general images, so that the encoder does not forget them, or --unguarded to do without"
            )
        if self.remember and self.unguarded:
            raise ValueError("unguarded: general images are given (remember), which guard; leave one of the two out")
        require_seed(self.seed)
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out: expected a share in (0, 1), got {self.held_out}")
        if self.max_forgotten < 0:
            raise ValueError(f"max_forgotten: expected 0 or more, got {self.max_forgotten}")
        if not 0 <= self.max_damaged <= 1:
            raise ValueError(f"max_damaged: expected a share in [0, 1], got {self.max_damaged}")
        if self.shard_cache_gb <= 0:
            raise ValueError(f"shard_cache_gb: expected a number above 0, got {self.shard_cache_gb}")


def adapt(config: Config, device: torch.device) -> dict[str, Any]:
    """Write the adapted encoder to output/encoder; returns what it was worth before and after.

    The student learns the teacher's embeddings of frames and general images, from the old weights on. Of the straight
    line from the old weights to the learned ones (Wortsman et al., arXiv 2109.01903) the point farthest along is kept
    at which general images are remembered. Every part resumes where it was interrupted.

    Raises:
        ValueError: wrong settings, several processes, another teacher, too few images, a student that does not come
            nearer to its teacher on the frames, or forgets even close to the old weights; nothing is written then.
        SystemExit: it was asked to stop.
    """
    if (count := this_process().count) > 1:
        raise ValueError(f"an adaptation is one process on one GPU, the launcher started {count}; leave torchrun out")
    name = config.encoder or DEFAULT_CHECKPOINTS[DEFAULT_NORM]
    norm = "group" if XDistillResNet18.from_pretrained(name).norm == "group" else "batch"
    old = XDistillResNet18.from_pretrained(name, norm=norm)
    assert old.checkpoint
    known = load_encoder(name, config.image_size)
    teachers = load_compared(known, config.teacher, None, None)
    check_head(known, teachers)
    if len(sizes := {teacher.image_size for teacher in teachers}) > 1:
        raise ValueError(
            f"teacher: expected teachers of one image size, got {sorted(sizes)} px; this encoder cannot be adapted"
        )
    size = known.image_size_px

    if shared := places(config.frames) & places(config.remember) if config.remember else set():
        raise ValueError(
            f"remember: {', '.join(sorted(shared))} is among the frames too, so that nothing general would be watched; "
            "give images of another kind"
        )
    fetched = {"shard_cache": config.shard_cache, "shard_cache_gb": config.shard_cache_gb}
    cameras = [open_images((spec,), **fetched) for spec in config.frames]
    learned_frames, held_frames = hold_out_last(cameras, config.held_out)
    learned: list[Images] = [learned_frames]
    held: dict[str, Images] = {"frames": held_frames}
    if config.remember:
        general, held["general"] = hold_out_evenly(open_images(config.remember, **fetched), config.held_out)
        learned.append(general)
    shown = learned[0] if len(learned) == 1 else ConcatenatedImages(learned)
    print(f"{len(learned_frames):,} frames, {len(shown) - len(learned_frames):,} general images at {size} px")

    new = XDistillResNet18.from_pretrained(distil(config, name, norm, teachers, shown, size), norm=norm)
    students = {f"{share:g}": between(old, new, share) for share in (0.0, *SHARES)}
    measured, counted = {}, {}
    for kind, images in held.items():
        measured[kind], counted[kind] = measure(students, teachers, images, size, device, config.workers)
    share = choose(measured, config.max_forgotten)
    result = {
        "command": describe_run()["command"],
        "share_of_the_way": share,
        "image_size_px": size,
        "held_out": counted,
        "before": {kind: scores["0"] for kind, scores in measured.items()},
        "after": {kind: scores[f"{share:g}"] for kind, scores in measured.items()},
    }
    adapted = between(old, new, share)
    assert new.checkpoint
    provenance = new.checkpoint.provenance | {"adaptation": result}
    adapted.save_pretrained(
        config.output / ENCODER_FOLDER, name=f"{old.checkpoint.name}-adapted", provenance=provenance
    )
    write_text(config.output / "adaptation.json", json.dumps(result, indent=2) + "\n")
    return result


def distil(config: Config, name: str, norm: Norm, teachers: Sequence[Teacher], images: Images, size: int) -> Path:
    """Embed the images by the teachers once, then train from the old weights; returns the encoder's folder."""
    common: dict[str, Any] = {
        "teacher": config.teacher,
        "teacher_image_size": teachers[0].image_size,
        "embedding": teachers[0].embedding,
        "images": (*config.frames, *config.remember),
        "views_per_image": config.views_per_image,
        "seed": config.seed,
        "workers": config.workers,
        "mixed_precision": config.mixed_precision,
        "batch_size": config.batch_size,
        "max_damaged": config.max_damaged,
    }
    settings = replace(
        train.Config(),
        **common,
        norm="group" if norm == "group" else "batch",
        targets=str(config.output / "targets"),
        output=config.output / "student",
        image_size=size,
        epochs=config.epochs,
        lr=config.lr,
        warm_start=name,
    )
    if config.batch_size > len(images):
        raise ValueError(
            f"batch_size: expected at most {len(images)}, as many images as learn, got {config.batch_size}"
        )
    targets.build(targets.Config(**common, output=config.output / "targets"), images)
    return train.train(settings, images)


def describe(result: Mapping[str, Any]) -> str:
    """For people: how near the encoder came to its teacher, before and after."""
    before, after = result["before"], result["after"]
    lines = [f"{'':10} {'':>7} {'explained variance':>18} {'cosine':>17}"]
    lines.append(f"{'held out':10} {'images':>7}{2 * '   before    after'}")
    for kind, count in result["held_out"].items():
        scores = [f"{when[kind][score]:9.3f}" for score in (WATCHED, "teacher_cosine") for when in (before, after)]
        lines.append(f"{kind:10} {count:7,}{''.join(scores)}")
    return "\n".join([*lines, f"{result['share_of_the_way']:.0%} of the way from the old weights to the learned ones"])


def main() -> None:
    """Read the command line, adapt."""
    keep_freed_memory()
    failure = None
    try:
        config = tyro.cli(Config, prog="xdistill adapt", description=__doc__, args=sys.argv[1:])
        result = adapt(config, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        print(f"{describe(result)}\nencoder: {config.output / 'encoder'}")
    except (ValueError, OSError, FloatingPointError) as error:
        failure = told(error)
    if failure is not None:
        raise SystemExit(f"xdistill adapt: {failure}")


if __name__ == "__main__":
    main()
