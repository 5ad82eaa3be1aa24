"""Publish an encoder with its model card: `xdistill publish`."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import tyro

from distillation.publishing.card import check_card, model_card
from distillation.publishing.hub_folder import encoder_folder, read_pictures, read_statement, write_folder
from distillation.publishing.hub_repository import compare, look, send
from distillation.publishing.traceability import read_scorecards, require_provenance
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.checkpoint_config import CONFIG_FILE
from xdistill_encoder.checkpoint_weights import WEIGHTS_FILE
from xdistill_encoder.checkpoints import HUB_ID, CheckpointConfig, read_config

CARD_FILE = "README.md"


@dataclass(frozen=True)
class Config:
    """One checkpoint -> a folder as the Hub shows it; with `--repo`, the upload of that folder as one commit."""

    checkpoint: Path
    """Folder of a run of `xdistill distill`, or of an exported encoder."""
    repo: str | None = None
    """"org/name" on the Hub, made where missing; None: only the folder is written."""
    dry_run: bool = False
    """Write the folder, ask and tell the Hub nothing."""
    output: Path | None = None
    """Folder to write; None: runs/publish/<name of the weights>, or where it is uploaded a temporary one."""
    revision: str | None = None
    """Branch to upload to, made where missing; None: main."""
    tag: str | None = None
    """Tag to set on the upload, such as "v1"."""
    private: bool = False
    """The repository is one that only its owner sees."""
    overwrite: bool = False
    """Replace files that the repository holds; without it they are listed and stop the upload."""
    scores: tuple[Path, ...] = ()
    """JSON files of `xdistill scorecard --output`; none: the scores in the checkpoint's provenance."""
    plots: tuple[Path, ...] = ()
    """Pictures to copy to plots/ and show in the card, such as curve.png of the run."""
    license: Literal[
        "other", "apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "unknown"
    ] = "other"
    """Licence of the weights as the Hub names it: what teacher and images allow."""
    license_terms: str | None = None
    """Its terms in words, or a .md or .txt file with them; an upload needs them."""
    limits: str | None = None
    """Limits to state beside those that every card has, or a .md or .txt file with them."""
    datasets: tuple[str, ...] = ()
    """Hub ids of the images, where they are on the Hub."""
    card: Path | None = None
    """A card written by hand, or edited, in place of the one that is made."""
    allow_dirty: bool = False
    """Publish weights that were made by uncommitted code, which the card shows."""
    allow_unscored: bool = False
    """Upload weights without scores, which the card says."""

    def __post_init__(self):
        if self.repo is not None and not HUB_ID.fullmatch(self.repo):
            raise ValueError(f"repo: expected 'org/name', got {self.repo!r}")
        if wrong := [dataset for dataset in self.datasets if not HUB_ID.fullmatch(dataset)]:
            raise ValueError(f"datasets: expected 'org/name' of each, got {wrong[0]!r}")
        made = [name for name in ("license_terms", "limits", "datasets") if getattr(self, name)]
        if self.card is not None and made:
            raise ValueError(f"card: {self.card} is taken as it is; write {', '.join(made)} in it, or leave it out")
        for name in ("revision", "tag", "private", "overwrite"):
            if getattr(self, name) and self.repo is None:
                raise ValueError(f"{name}: is about a repository on the Hub, and --repo names none")


def publish(config: Config) -> str:
    """Write the folder and, where asked, upload it; returns the folder, or the URL of the commit.

    Raises:
        ValueError: a checkpoint that does not load, says too little of itself or has no scores; wrong files; an output
            folder or a repository with other files; no token, no right to write, no connection.
    """
    folder = encoder_folder(config.checkpoint)
    checkpoint = read_config(folder / CONFIG_FILE)
    require_provenance(checkpoint, allow_dirty=config.allow_dirty)
    scorecards = read_scorecards(config.scores, checkpoint)
    if scorecards:
        checkpoint = replace(checkpoint, provenance=checkpoint.provenance | {"scores": scorecards})
    repo = None if config.dry_run else config.repo
    if repo is not None:
        require_statements(config, scorecards)
    pictures = read_pictures(config.plots)

    encoder = XDistillResNet18.from_pretrained(folder)  # what is published loads
    parameters = sum(p.numel() for p in encoder.trunk.parameters())
    card = make_card(config, checkpoint, parameters, scorecards, list(pictures))
    weights = (folder / WEIGHTS_FILE).read_bytes()
    entries = json.dumps(asdict(checkpoint), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {CARD_FILE: card.encode(), CONFIG_FILE: entries.encode(), WEIGHTS_FILE: weights, **pictures}
    if repo is None:
        output = config.output or Path("runs/publish", checkpoint.name.rpartition("/")[2])
        write_folder(output, files)
        print(listing(files, {}))
        return str(output)

    check_repository(config, repo, files)
    with TemporaryDirectory(prefix="xdistill-") as temporary:
        output = config.output or Path(temporary, "folder")
        write_folder(output, files)
        return send(
            output,
            repo,
            private=config.private,
            revision=config.revision,
            tag=config.tag,
            message=f"{checkpoint.name}, by xdistill publish",
        )


def make_card(
    config: Config,
    checkpoint: CheckpointConfig,
    parameters: int,
    scorecards: Sequence[Mapping[str, Any]],
    plots: Sequence[str],
) -> str:
    """README.md, made or as it was written by hand; raises ValueError where its metadata is wrong."""
    if config.card is None:
        return model_card(
            checkpoint,
            parameters=parameters,
            source=config.repo or checkpoint.name,
            revision=config.tag or config.revision,
            scorecards=scorecards,
            plots=plots,
            datasets=config.datasets,
            license_id=config.license,
            license_terms=read_statement("license_terms", config.license_terms),
            limits=read_statement("limits", config.limits),
        )
    try:
        text = config.card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"card: {config.card}: not readable ({error})") from error
    check_card(text)
    return text


def require_statements(config: Config, scorecards: Sequence[object]) -> None:
    """Raise a ValueError where something is missing that an upload must say."""
    if not scorecards and not config.allow_unscored:
        raise ValueError(
            "scores: none; measure with `xdistill scorecard --output scores.json` and give --scores scores.json, "
            "or upload without any with --allow-unscored"
        )
    if config.license_terms is None and config.card is None:
        raise ValueError("license_terms: an upload says what teacher and images allow; give words, or a text file")


def check_repository(config: Config, repo: str, files: Mapping[str, bytes]) -> None:
    """Print what the upload changes in the repository.

    Raises:
        ValueError: it would replace files, or show the world what was to be private; see also `look`.
    """
    present = look(repo, config.revision, config.tag)
    verdicts = compare(files, present.files)
    print(f"{repo} at {config.revision or 'main'}{'' if present.exists else ', which is made'}")
    print(listing(files, verdicts))
    if config.private and present.exists and not present.private:
        raise ValueError(
            f"private: {repo} exists and everybody sees it; change that on the Hub, or give another --repo"
        )
    replaced = [path for path, verdict in verdicts.items() if verdict == "replaces"]
    if replaced and not config.overwrite:
        raise ValueError(
            f"repo: {repo} holds other versions of {', '.join(replaced)}; replace them with --overwrite, "
            "or give another --repo or --revision"
        )


def listing(files: Mapping[str, bytes], verdicts: Mapping[str, str]) -> str:
    """One line per file: what happens to it, path, size."""
    lines = []
    for path in dict.fromkeys((*files, *verdicts)):
        size = f"{len(files[path]) / 1e6:.3f} MB" if path in files else ""
        lines.append(f"  {verdicts.get(path, 'writes'):8}  {path}  {size}".rstrip())
    return "\n".join(lines)


def main() -> None:
    """Read the command line and publish."""
    try:
        config = tyro.cli(Config, prog="xdistill publish", args=sys.argv[1:])
        result = publish(config)
    except ValueError as error:
        raise SystemExit(f"xdistill publish: {error}") from error
    print(result)
    if config.repo is not None and not config.dry_run:
        print(f'XDistillResNet18.from_pretrained("{config.repo}", revision="{result.rpartition("/")[2]}")')


if __name__ == "__main__":
    main()
