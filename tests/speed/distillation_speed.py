"""Compare the speed of the distillation recipe with bare loops, with itself, with LightlyTrain, on one machine.

    python tests/speed/distillation_speed.py --images FOLDER_OF_PARQUET --teacher FOLDER_OF_A_TIMM_VIT

prints each comparison, then appends it to distillation/results/speed.csv. `peer` and `ours` are images per second
unless the row names another unit; `ratio` is ours / peer. What is compared takes turns; the first steps of a run, in
which workers start and kernels are chosen, do not count. The defaults suit two cores; for a GPU
`--batch-size 512 --workers 16 --steps 400 --skip 100 --log-every 20 --cached-images 19200` is a start.
"""

import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import timm
import torch
import tyro
from bare_loops import bare_student, bare_teacher, seconds_a_call
from bench_inputs import at_least, first_images, image_files, parquet_files, random_teacher
from bench_rows import Row, append
from bench_runs import Run, build_targets, distill, lightly_distill

from distillation.cache.plan import delivery_rate
from distillation.datasets import Views, epoch_order, open_images
from distillation.training.batches import Curriculum, MicroBatches
from distillation.training.loading import stream
from distillation.views import AUGMENTATIONS

SCRIPT = "distillation_speed.py"
CSV = Path(__file__).resolve().parents[2] / "distillation" / "results" / "speed.csv"
SIZE_PX = 224
SLOW_TEACHERS = {"ViT-S/14": ("vit_small_patch14_dinov2", 2), "ViT-L/14": ("vit_large_patch14_dinov2", 4)}
"""Name -> timm's, and how many times fewer steps an online run takes."""
MEMORY_IMAGES, MEMORY_EPOCHS = 4096, 5
VIEWS_SECONDS = 10.0
Part = Literal["rates", "slow-teachers", "start", "memory"]


@dataclass(frozen=True)
class Bench:
    """What is measured, for how long; the defaults suit two cores."""

    images: Path
    """Folder of parquet files with a column `image`."""
    teacher: Path
    """Folder of timm's vit_tiny_patch16_224: config.json, model.safetensors."""
    lightly_python: Path | None = None
    """Python of an environment that holds lightly-train with timm; None: $LIGHTLY_PYTHON, without it no such row."""
    parts: tuple[Part, ...] = ("rates", "slow-teachers", "start", "memory")
    """Which comparisons."""
    batch_size: int = 64
    """Images a step."""
    workers: int = 2
    """Processes that decode images."""
    precision: Literal["bf16", "no"] = "bf16"
    """Of all forward passes."""
    rounds: int = 2
    """Turns of each contender; the median counts."""
    steps: int = 14
    """Steps of a run."""
    skip: int = 4
    """First steps, which do not count."""
    log_every: int = 1
    """Steps between the rows of a run's log; more on a GPU, because a row waits for the device."""
    cached_images: int = 1024
    """Images of a cache that is built, then trained from."""
    start_images: int = 100_000
    """Images of the runs whose first step is waited for."""
    compile: bool = False
    """Run the recipe's networks, not the bare loops, through torch.compile."""
    work: Path | None = None
    """Folder, not there yet, in which inputs, caches and runs are kept; None: a temporary one."""
    csv: Path = CSV
    """File that rows are appended to."""

    def __post_init__(self):
        for name in ("steps", "skip"):
            if getattr(self, name) % self.log_every:
                raise ValueError(
                    f"{name}: expected a multiple of log_every {self.log_every}, got {getattr(self, name)}"
                )
        if self.steps < self.skip + 2 * self.log_every:
            raise ValueError(f"steps: expected {self.skip + 2 * self.log_every} or more, got {self.steps}")
        if self.cached_images < self.batch_size or self.cached_images % 8:
            raise ValueError(
                f"cached_images: expected a multiple of 8, {self.batch_size} or more, got {self.cached_images}"
            )


def compare_rates(bench: Bench, work: Path, device: torch.device) -> Iterator[Row]:
    """Images per second: online, from cache, cache build, the bare loops, the workers alone, LightlyTrain.

    The bare loops are those of plain PyTorch, which gives freed memory back; our commands keep it.
    """
    files = parquet_files(bench.images)
    online = recipe_options(bench, [str(file.absolute()) for file in files], bench.teacher, bench.steps)
    few = first_images(files, bench.cached_images, work)
    teacher: Any = timm.create_model(f"local-dir:{bench.teacher}", pretrained=True, num_classes=0).eval().to(device)
    embed = bare_teacher(teacher, SIZE_PX, bench.batch_size, bench.precision, device)
    step = bare_student(teacher.num_features, SIZE_PX, bench.batch_size, bench.precision, device)
    lightly = bench.lightly_python or os.environ.get("LIGHTLY_PYTHON")
    version, rates = "", defaultdict(list)
    for turn in range(bench.rounds):
        calls = bench.steps - bench.skip
        rates["teacher"].append(bench.batch_size / seconds_a_call(embed, device, calls))
        rates["student"].append(bench.batch_size / seconds_a_call(step, device, calls))
        rates["views"].append(view_rate(bench, few))
        rates["online"].append(steady_rate(bench, distill(work / f"online-{turn}", online), f"online-{turn}"))
        if lightly:
            seen = lightly_distill(Path(lightly), work / f"lightly-{turn}", lightly_options(bench, files, work))
            version = seen["version"]
            rates["lightly"].append(seen["images_per_second"])
        cache = work / f"targets-{turn}"
        rates["build"].append(build_rate(bench, few, bench.teacher, cache))
        cached = [*recipe_options(bench, [few], bench.teacher, bench.steps), "--targets", str(cache / "out")]
        rates["cached"].append(steady_rate(bench, distill(work / f"cached-{turn}", cached), f"cached-{turn}"))
        print({name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    rate = {name: statistics.median(values) for name, values in rates.items()}
    bound = 1 / (1 / rate["teacher"] + 1 / rate["student"])
    if lightly:
        yield Row(f"online, ViT-Ti/16 / LightlyTrain {version} distillation", rate["lightly"], rate["online"])
    yield Row("online, ViT-Ti/16 / bare teacher forward then bare student step", bound, rate["online"])
    yield Row("bare loops, student / ViT-Ti/16 then student", bound, rate["student"])
    yield Row("from cache / bare ResNet-18 training step", rate["student"], rate["cached"])
    yield Row("from cache / online, ViT-Ti/16", rate["online"], rate["cached"])
    yield Row("decoding and views alone, img/s", None, rate["views"])
    yield Row("cache build, ViT-Ti/16 / bare teacher forward", rate["teacher"], rate["build"])
    print(binding(rate["views"], rate["student"]), flush=True)


def compare_slow_teachers(bench: Bench, work: Path, device: torch.device) -> Iterator[Row]:
    """Images per second from cache and online, with DINOv2's architectures; random weights cost the same.

    Beside them the bare loops: teacher then student, and student alone.
    """
    files = parquet_files(bench.images)
    few = first_images(files, 2 * bench.batch_size, work)
    for name, (architecture, fewer) in SLOW_TEACHERS.items():
        teacher = random_teacher(architecture, work / architecture, img_size=SIZE_PX)
        steps, skip = (
            max(1, count // fewer // bench.log_every) * bench.log_every for count in (bench.steps, bench.skip)
        )
        online = recipe_options(bench, [few], teacher, max(steps, skip + 2 * bench.log_every))
        cache = work / f"targets-{architecture}"
        build_targets(cache, cache_options(bench, [few], teacher, bench.batch_size))
        cached = [*recipe_options(bench, [few], teacher, bench.steps), "--targets", str(cache / "out")]
        slow, fast = distill(work / f"online-{architecture}", online), distill(work / f"cached-{architecture}", cached)
        yield Row(
            f"from cache / online, {name}",
            slow.images_per_second(skip // bench.log_every),
            steady_rate(bench, fast, f"cached-{architecture}"),
        )
        model: Any = timm.create_model(architecture, img_size=SIZE_PX, num_classes=0).eval().to(device)
        embed = bare_teacher(model, SIZE_PX, bench.batch_size, bench.precision, device)
        step = bare_student(model.num_features, SIZE_PX, bench.batch_size, bench.precision, device)
        both = [seconds_a_call(call, device, max(2, (steps - skip) // 2)) for call in (embed, step)]
        yield Row(
            f"bare loops, student / {name} then student", bench.batch_size / sum(both), bench.batch_size / both[1]
        )


def measure_start(bench: Bench, work: Path) -> Iterator[Row]:
    """Seconds from the start of the process to the first row of its log, with many images, online and from cache."""
    images, bench = at_least(parquet_files(bench.images), bench.start_images), replace(bench, log_every=1)
    online = distill(work / "start-online", recipe_options(bench, images, bench.teacher, steps=1))
    yield Row(f"start to first step, {bench.start_images:,} images, online, s", None, online.first_step_s)
    teacher = quick_teacher(work)
    build_targets(work / "targets-start", cache_options(bench, images, teacher, 8192))
    options = recipe_options(bench, images, teacher, steps=1)
    cached = distill(work / "start-cached", [*options, "--targets", str(work / "targets-start" / "out")])
    yield Row(f"start to first step, {bench.start_images:,} images, from cache, s", None, cached.first_step_s)


def measure_memory(bench: Bench, work: Path) -> Iterator[Row]:
    """MB resident in the last epoch and the second, in a run from cache with small views, so that epochs pass."""
    few = first_images(parquet_files(bench.images), MEMORY_IMAGES, work)
    teacher = quick_teacher(work)
    build_targets(work / "targets-memory", cache_options(bench, [few], teacher, 1024))
    epoch = MEMORY_IMAGES // bench.batch_size
    options = recipe_options(bench, [few], teacher, epoch * MEMORY_EPOCHS, size_px=32)
    run = distill(work / "memory", [*options, "--targets", str(work / "targets-memory" / "out")])
    second, last = (
        statistics.median(mb for steps, mb in run.memory if steps // epoch == at) for at in (1, MEMORY_EPOCHS - 1)
    )
    yield Row(f"resident memory, epoch {MEMORY_EPOCHS} / epoch 2, MB", second, last)


def recipe_options(bench: Bench, images: list[str], teacher: Path, steps: int, size_px: int = SIZE_PX) -> list[str]:
    """Command line of `xdistill distill`, without `--output`."""
    options = ["--images", *images, "--teacher", str(teacher.absolute()), "--image-size", str(size_px)]
    options += ["--batch-size", str(bench.batch_size), "--workers", str(bench.workers)]
    options += ["--mixed-precision", bench.precision, "--epochs", "1000000", "--max-steps", str(steps)]
    options += ["--log-every", str(bench.log_every), "--save-every", "1000000"]
    return [*options, "--teacher-image-size", "None", *["--compile"] * bench.compile]


def cache_options(bench: Bench, images: list[str], teacher: Path, shard_rows: int) -> list[str]:
    """Command line of `xdistill targets`, without `--output`."""
    options = ["--images", *images, "--teacher", str(teacher.absolute()), "--teacher-image-size", "None"]
    options += ["--views-per-image", "1", "--shard-rows", str(shard_rows), "--batch-size", str(bench.batch_size)]
    options += ["--workers", str(bench.workers), "--mixed-precision", bench.precision]
    return [*options, *["--compile"] * bench.compile]


def lightly_options(bench: Bench, files: list[Path], work: Path) -> list[str]:
    """Command line of peers/lightly_distill.py, without `--output`; its images fill one epoch, as ours do."""
    images = first_images(files, bench.steps * bench.batch_size, work)
    options = ["--images", str(image_files(images, work / "images")), "--image-size", str(SIZE_PX)]
    options += ["--teacher-weights", str(bench.teacher.absolute() / "model.safetensors")]
    options += ["--batch-size", str(bench.batch_size), "--workers", str(bench.workers)]
    options += ["--precision", {"bf16": "bf16-mixed", "no": "32-true"}[bench.precision]]
    return [*options, "--steps", str(bench.steps), "--skip", str(bench.skip)]


def steady_rate(bench: Bench, run: Run, name: str) -> float:
    """Images per second after the warm-up; prints what share of it was waiting for data."""
    skip = bench.skip // bench.log_every
    print(f"{name}: {run.data_wait_share(skip):.1%} of the time spent waiting for data", flush=True)
    return run.images_per_second(skip)


def view_rate(bench: Bench, images_file: str) -> float:
    """Images per second that the workers read, decode, cut into the student's views and batch; no network runs."""
    images = open_images([images_file])
    views = Views(images, 0, AUGMENTATIONS["paper"])
    keys = MicroBatches(
        Curriculum(len(images), bench.batch_size, 10**6, None, None, SIZE_PX, SIZE_PX),
        partial(epoch_order, images, 0),
    )
    with closing(stream(views, keys, bench.workers)) as batches:
        return delivery_rate(batches, bench.batch_size, VIEWS_SECONDS)[1]


def binding(views: float, student: float) -> str:
    """Which of two rates in images per second is the smaller, and so binds a run from a cache."""
    name = "the decoding of views" if views < student else "the training step"
    return f"from cache, {name} binds: {views:.4g} img/s of views alone, {student:.4g} of bare steps"


def build_rate(bench: Bench, images: str, teacher: Path, output: Path) -> float:
    """Images per second of a cache build, between its first shard and its last."""
    rows = bench.cached_images // 8
    finished = build_targets(output, cache_options(bench, [images], teacher, rows))
    return rows * (len(finished) - 1) / (finished[-1] - finished[0])


def quick_teacher(work: Path) -> Path:
    """One block that sees 32 px: it makes caches of real form whose embeddings cost next to nothing."""
    return random_teacher("vit_tiny_patch16_224", work / "quick-teacher", img_size=32, depth=1)


def main() -> None:
    """Read the command line; measure part after part."""
    try:
        bench = tyro.cli(Bench, description=(__doc__ or "").partition("\n")[0])
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        settings = f"; batch {bench.batch_size}, {bench.precision}, {bench.workers} workers"
        settings += ", compiled" * bench.compile
        with tempfile.TemporaryDirectory(prefix="distillation-speed-") as temporary:
            work = (bench.work or Path(temporary)).absolute()
            if bench.work and work.exists():
                raise ValueError(f"work: {work} exists; give a folder that does not")
            work.mkdir(parents=True, exist_ok=True)
            if "rates" in bench.parts:
                append(bench.csv, SCRIPT, compare_rates(bench, work, device), settings)
            if "slow-teachers" in bench.parts:
                append(bench.csv, SCRIPT, compare_slow_teachers(bench, work, device), settings)
            if "start" in bench.parts:
                append(bench.csv, SCRIPT, measure_start(bench, work), settings)
            if "memory" in bench.parts:
                append(bench.csv, SCRIPT, measure_memory(bench, work), settings)
    except ValueError as error:
        raise SystemExit(f"distillation_speed: {error}") from error


if __name__ == "__main__":
    main()
