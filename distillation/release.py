"""Make a release of weights in one command: `xdistill release`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import tyro

from distillation import targets, train
from distillation.publishing.hub_folder import TEXTS, read_statement
from distillation.release_steps import Step, by_option, given, option, process, run
from distillation.scorecard import check_csv, open_scored
from distillation.student_files import ENCODER_FOLDER
from distillation.students import StudentNorm
from distillation.teachers import Embedding
from distillation.training.batches import require_equal_parts
from distillation.training.monitor import CURVE_FILE
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.provenance import commit

OWN = ("norm", "name", "output", "targets", "plan", "score_bank", "score_queries", "backbone")
"""Settings of a student that a release decides."""
OF_TARGETS = {field.name for field in fields(targets.Config)} - {"batch_size", *OWN}
"""Settings of the cache that a student's run shares, where it has them; a batch is another thing there."""


@dataclass(frozen=True)
class Config:
    """Targets, a student of each norm, its scores, its folder for the Hub: every step is a command of its own.

    The same command goes on where it was interrupted. Every further option is one of `xdistill distill`, such as
    `--image-size 128`: both students get it, and the targets where these have it too.
    """

    teacher: tuple[str, ...]
    """As in `xdistill distill`."""
    images: tuple[str, ...]
    """As in `xdistill distill`."""
    stem: str
    """What made the weights, as their names say it: "dinov2-vitl14-in1k" gives resnet18-bn-dinov2-vitl14-in1k."""
    scored: tuple[tuple[str, str], ...]
    """Labelled bank and queries of each scorecard: `--scored bank.parquet queries.parquet bank2 queries2`."""
    license_terms: Path
    """Text file: what the terms of teacher and images allow."""
    compared: tuple[str, ...] = ()
    """Held-out images on which nothing is classified: how near each student comes to its teacher on them."""
    limits: Path | None = None
    """Text file: limits to state beside those that every card has."""
    norms: tuple[StudentNorm, ...] = ("batch", "group")
    """Students, in this order; a second one starts from the weights of the first, its norm layers calibrated."""
    warm_start: str | None = None
    """Checkpoint from whose weights the first student starts; None: random weights."""
    preset: Literal["paper", "best", "cpu"] = "best"
    """Of `xdistill distill`."""
    epochs: tuple[int, ...] = ()
    """Of each student, or one number for all; none: the preset's."""
    lr: tuple[float, ...] = ()
    """Of each student, or one number for all; none: the preset's."""
    embedding: Embedding = "cls"
    """As in `xdistill distill`."""
    views_per_image: int | None = 4
    """Views whose embeddings are computed beforehand; None: the teacher runs along with each student."""
    patch_grid: int | None = None
    """As in `xdistill targets`; a loss with `patch` needs it where views are embedded beforehand."""
    score_every: int | None = None
    """Epochs between scores on the first bank and queries while a student learns; None: its curve is the loss alone."""
    score_image_size: int | None = None
    """Side in px of the images in scorecards; None: that of the distillation."""
    csv: Path | None = None
    """Rows of the scorecards go here too; those of the same queries that it has are drawn beside them."""
    workers: int = 8
    """Processes that decode images, for each process that computes."""
    processes: int = 1
    """Processes of this machine that compute targets and train, one a GPU; on several machines, run the commands that
    `--dry-run` prints."""
    output: Path = Path("runs/release")
    """Folder of targets/ and of a folder for each student, with its scorecards and hub/, what `publish` uploads."""
    datasets: tuple[str, ...] = ()
    """As in `xdistill publish`."""
    allow_dirty: bool = False
    """As in `xdistill publish`."""
    dry_run: bool = False
    """Print the commands, run none."""
    student: tyro.conf.Suppress[tuple[str, ...]] = ()
    """Further options of `xdistill distill`, in the words of its command line."""

    def __post_init__(self) -> None:
        if len(set(self.norms)) != len(self.norms) or not self.norms:
            raise ValueError(f"norms: expected batch, group or both, each once, got {' '.join(self.norms) or 'none'}")
        if self.norms == ("group", "batch"):
            raise ValueError(
                "norms: expected batch before group: group norm can start from its weights, not vice versa"
            )
        for field in ("epochs", "lr"):
            numbers = getattr(self, field)
            if len(numbers) not in (0, 1, len(self.norms)):
                raise ValueError(
                    f"{field}: expected one number, or one for each of {len(self.norms)} norms, got {numbers}"
                )
        if not self.scored:
            raise ValueError("scored: expected a bank and queries, got none; weights without scores are not released")
        names = [queries_name(queries) for _, queries in self.all_scored]
        if len(set(names)) < len(names):
            raise ValueError(f"scored: expected queries of different names, which name the scorecards, got {names}")
        if "/" in self.stem or not self.stem:
            raise ValueError(f"stem: expected part of a name, such as 'dinov2-vitl14-in1k', got {self.stem!r}")
        if self.processes < 1:
            raise ValueError(f"processes: expected 1 or more, got {self.processes}")
        decided = [name for name, _ in by_option(self.student) if name in OWN]
        if decided:
            raise ValueError(f"{decided[0]}: a release decides this itself; leave it out, or use `xdistill distill`")

    @property
    def all_scored(self) -> tuple[tuple[str | None, str], ...]:
        """Bank, or None, and queries of each scorecard."""
        return (*self.scored, *((None, queries) for queries in self.compared))

    def name(self, norm: StudentNorm) -> str:
        """Of the weights with these norm layers."""
        return f"resnet18-{norm[0]}n-{self.stem}"


def steps(config: Config) -> Iterator[Step]:
    """The commands of a release, in their order: what needs a GPU first."""
    inputs = [*option("teacher", *config.teacher), *option("images", *config.images)]
    inputs += [*option("workers", config.workers), *option("embedding", config.embedding)]
    settings = [part for _, parts in by_option(config.student) for part in parts]
    cache = config.output / "targets"
    if config.views_per_image is not None:
        shared = [part for name, parts in by_option(config.student) if name in OF_TARGETS for part in parts]
        views = [*option("views-per-image", config.views_per_image), *given("patch_grid", config.patch_grid)]
        yield Step("targets", (*inputs, *shared, *views, *option("output", cache)), shared=True)
        inputs += option("targets", cache)
    if config.score_every is not None:
        bank, queries = config.scored[0]
        settings += [*option("score-bank", bank), *option("score-queries", queries)]
        settings += option("score-every", config.score_every)
    start, before = config.warm_start, None
    for place, norm in enumerate(config.norms):
        run = config.output / config.name(norm)
        arguments = [*option("preset", config.preset), *inputs, *settings, *option("norm", norm)]
        for name, numbers in (("epochs", config.epochs), ("lr", config.lr)):
            arguments += option(name, numbers[place % len(numbers)]) if numbers else []
        arguments += [*given("warm_start", start), *option("name", config.name(norm)), *option("output", run)]
        yield Step("distill", tuple(arguments), shared=True, of=run, start=before)
        before = run / ENCODER_FOLDER
        start = str(before)
    for norm in config.norms:
        yield from scorecards(config, config.output / config.name(norm))


def scorecards(config: Config, run: Path) -> Iterator[Step]:
    """The scorecards of one run, then its folder for the Hub."""
    files, pictures = [], [run / CURVE_FILE]
    for bank, queries in config.all_scored:
        name = queries_name(queries)
        files.append(run / f"{name}.json")
        arguments = [*option("encoder", run / ENCODER_FOLDER), *option("teacher", *config.teacher)]
        arguments += option("embedding", config.embedding)
        arguments += [*given("bank", bank), *option("queries", queries), *given("image_size", config.score_image_size)]
        arguments += [*option("output", files[-1]), *option("workers", config.workers)]
        arguments += given("csv", config.csv)
        if bank is not None:
            pictures.append(run / f"{name}.png")
            arguments += option("plot", pictures[-1])
        yield Step("scorecard", tuple(arguments), scores=files[-1], of=run)
    arguments = [*option("checkpoint", run), *option("scores", *files), *option("plots", *pictures)]
    arguments += [*option("license-terms", config.license_terms), *given("limits", config.limits)]
    arguments += option("datasets", *config.datasets) if config.datasets else []
    arguments += ["--allow-dirty"] if config.allow_dirty else []
    yield Step("publish", (*arguments, "--dry-run", *option("output", run / "hub")))


def queries_name(queries: str) -> str:
    """How the files of a scorecard are called."""
    return Path(queries).name.removesuffix(".parquet")


def release(config: Config) -> list[Path]:
    """Run the commands that are not done; returns the folders to publish.

    Raises:
        ValueError: images or a text file that are missing, a start of the other norm, code that no commit holds, a
            loss that the cache cannot serve.
        SystemExit: a command refuses a setting, failed, or was asked to stop.
    """
    for name, path in (("license_terms", config.license_terms), ("limits", config.limits)):
        if path is not None:
            if not path.is_file() or path.suffix not in TEXTS:
                raise ValueError(
                    f"{name}: expected a text file, {' or '.join(TEXTS)}, at {path}, which the card quotes"
                )
            read_statement(name, str(path))
    check_start(config)
    if not (config.dry_run or config.allow_dirty) and (commit(Path(__file__)) or "").endswith("-dirty"):
        raise ValueError(
            "this code has changes that no commit holds, so that nobody could make the weights again; "
            "commit them, or go on with --allow-dirty"
        )
    planned = list(steps(config))
    settings = [(step.command, step.parse()) for step in planned]
    for command, parsed in settings:
        if command == "distill":
            check_student(config, parsed)
    if not config.dry_run:  # what a scorecard would refuse is told before the work of hours
        scored = [parsed for command, parsed in settings if command == "scorecard"]
        for parsed in scored[: len(config.all_scored)]:  # of the first norm; the others read the same images
            check_csv(parsed)
            open_scored(parsed)
    distilled = all(step.done() for step in planned if step.command == "distill")
    for step in planned:
        if config.dry_run:
            print(step)
        elif step.done() or (step.command == "targets" and distilled):
            print(f"done before: {step}")
        else:
            print(f"$ {step}", flush=True)
            if status := run(process(step, config.processes)):
                raise SystemExit(
                    f"xdistill release: stopped, {step.command} ended with status {status}; the same command goes on"
                )
    return [config.output / config.name(norm) / "hub" for norm in config.norms]


def check_student(config: Config, settings: train.Config) -> None:
    """Raise a ValueError where a student cannot learn from the targets, or its batches not be cut for all processes."""
    patches = any(term.partition(":")[0] == "patch" for term in settings.loss)
    if patches and settings.targets is not None and config.patch_grid is None:
        raise ValueError(
            "patch_grid: expected a number, such as 7, for a loss with patch on embeddings that are computed "
            "beforehand, got none; or --views-per-image None, so that the teacher runs along"
        )
    require_equal_parts(settings.batch_size, config.processes, settings.accumulation)


def check_start(config: Config) -> None:
    """Raise a ValueError where batch norm was to start from group norm's weights."""
    if config.warm_start is None or config.norms[0] == "group" or config.dry_run:
        return
    if XDistillResNet18.from_pretrained(config.warm_start).norm == "group":
        raise ValueError(f"warm_start: {config.warm_start} has group norm, from which batch norm cannot start")


def main() -> None:
    """Read the command line; make the release."""
    try:
        config, further = tyro.cli(Config, prog="xdistill release", args=sys.argv[1:], return_unknown_args=True)
        config = replace(config, student=tuple(further))
        folders = release(config)
    except ValueError as error:
        raise SystemExit(f"xdistill release: {error}") from error
    if not config.dry_run:
        print("look at " + ", ".join(f"{folder / 'README.md'}" for folder in folders))
        print("then: the last command of each, without --dry-run and --output, with --repo org/name")


if __name__ == "__main__":
    main()
