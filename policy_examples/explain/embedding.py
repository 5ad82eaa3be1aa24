"""Pictures how encoders keep the stages of a task apart: `xdistill explain embedding`."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from policy_examples.envs.camera import RenderingError
from policy_examples.explain.embedding_figure import Panel, draw_embedding
from policy_examples.explain.feature_columns import Column, columns, demonstrations_of, learned_from, require_own
from policy_examples.explain.projections import pca, tsne
from policy_examples.explain.seeing_policies import seeing_policies
from policy_examples.explain.silhouette import silhouette
from policy_examples.explain.staged_frames import StagedFrames, StagesFrom, open_staged
from policy_examples.formats.episodes import Selection
from policy_examples.whole_files import whole, write_text
from xdistill_encoder.provenance import command, commit

COLUMNS: tuple[str, ...] = ("encoder", "method", "silhouette", "low", "high", "frames", "episodes", "stages")
"""Of embedding.csv: low and high are the 95 % interval, empty of a single episode."""
METHODS = ("features", "tsne", "pca")
"""Where distances are taken: between the encoder's own features, or in a picture of them."""


@dataclass(frozen=True)
class Config:
    """Which encoders look at which demonstrations."""

    demos: tuple[Path, ...] = ()
    """Demonstrations; of several tasks, the tasks follow each other as the stages of one long one. None: those that the
    policies learned from, or demonstrations.zarr."""
    selection: Selection = field(default_factory=Selection)
    """Which cameras and arrays of --demos to read; of those that policies learned from, what these read."""
    encoders: tuple[str, ...] | None = None
    """Encoders of the benchmark by name, with `=CHECKPOINT` after it for another one than its own; they see the camera
    `image`, whole. None: xdistill and resnet18-scratch, or with policies none."""
    policies: tuple[Path, ...] = ()
    """Policies, or folders of runs that hold such: each one's encoder before beside after fine-tuning."""
    output: Path = Path("embedding")
    """Folder of embedding.png, embedding.csv, summary.json, which are written anew."""
    stages: StagesFrom = "expert"
    """Where stages come from: `expert`, the branches of MetaWorld's scripted experts, up to the first solved step;
    `time`, parts of equal duration of any demonstrations."""
    parts: int = 3
    """Parts of an episode, with `--stages time`."""
    frames_per_episode: int = 30
    """Frames of each task's episode, at equal distances in time."""
    perplexity: float = 30.0
    """Of t-SNE: about how many neighbours a frame has."""
    bootstrap: int = 1000
    """Draws of episodes for the intervals."""
    seed: int = 0
    """Of t-SNE, of the bootstrap, of encoders without weights."""

    def __post_init__(self) -> None:
        for name, least in {"parts": 2, "frames_per_episode": 2, "bootstrap": 1, "perplexity": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected {least} or more, got {getattr(self, name)}.")
        if self.selection != Selection() and not self.demos and self.policies:
            raise ValueError("selection: the policies' own demonstrations have theirs; name others with --demos.")


def explain(config: Config) -> list[dict[str, Any]]:
    """Write the picture, the table and the summary; returns the rows of the table.

    Raises:
        ValueError: demonstrations, encoders or policies that are missing or do not fit together.
        OSError: the output cannot be written.
        RenderingError: MuJoCo cannot be opened, which tells the experts' stages.
    """
    named = config.encoders
    if named is None:
        named = () if config.policies else ("xdistill", "resnet18-scratch")
    policies = seeing_policies(config.policies)
    compared = columns(named, policies, config.seed)
    sources = [(path, config.selection) for path in config.demos] or list(demonstrations_of(policies))
    sources = sources or [(Path("demonstrations.zarr"), config.selection)]
    frames = open_staged(sources, config.stages, config.parts, config.frames_per_episode)
    if policies and not config.demos:
        require_own(policies, frames.facts)
    learned = learned_from(policies, frames.facts) if config.demos else list(map(str, policies))
    config.output.mkdir(parents=True, exist_ok=True)
    drawn, rows = [], []
    for column in compared:
        panels, scored = look_at(column, frames, config)
        drawn.append((column.name, panels))
        rows += scored
    tasks = ", then ".join(dict.fromkeys(stage.task for stage in frames.stages))
    count = f"{len(frames.labels)} frames of {len(np.unique(frames.episodes))} demonstrations"
    title = f"{tasks}: {count}" + (", from which policies here learned" if learned else "")
    draw_embedding(config.output / "embedding.png", title, ("t-SNE", "PCA"), drawn, frames.labels, frames.stages)
    write_rows(config.output / "embedding.csv", rows)
    summary = {
        "config": asdict(config),
        "rows": rows,
        "stages": [asdict(stage) for stage in frames.stages],
        "demonstrations": frames.facts,
        "learned_from_them": learned,
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn", "matplotlib")},
        "command": command(),
        "commit": commit(Path(__file__)),
    }
    write_text(config.output / "summary.json", json.dumps(summary, indent=2, default=str) + "\n")
    return rows


def look_at(column: Column, frames: StagedFrames, config: Config) -> tuple[list[Panel], list[dict[str, Any]]]:
    """The panels of one encoder, t-SNE and PCA, with its rows of the table."""
    features = column.features(frames.images(column.camera))
    plane, share = pca(features)
    spaces = {"features": features, "tsne": tsne(features, config.perplexity, config.seed), "pca": plane}
    scores = {
        method: silhouette(spaces[method], frames.labels, frames.episodes, config.bootstrap, config.seed)
        for method in METHODS
    }
    rows = [
        {
            "encoder": column.name,
            "method": method,
            "silhouette": round(score.mean, 4),
            "low": None if score.low is None else round(score.low, 4),
            "high": None if score.high is None else round(score.high, 4),
            "frames": len(features),
            "episodes": len(np.unique(frames.episodes)),
            "stages": len(frames.stages),
        }
        for method, score in scores.items()
    ]
    panels = [
        Panel(spaces["tsne"], scores["features"], scores["tsne"]),
        Panel(plane, scores["features"], scores["pca"], f"{100 * share:.0f} % of the variance"),
    ]
    return panels, rows


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the table."""
    with whole(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """`xdistill explain embedding`."""
    description = "Picture how encoders keep the stages of a task apart, with silhouettes."
    try:
        config = tyro.cli(Config, prog="xdistill explain embedding", description=description)
        rows = explain(config)
    except (ValueError, OSError, RenderingError) as error:
        raise SystemExit(f"xdistill explain embedding: {error}") from error
    for row in rows:
        interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
        print(f"{row['encoder']}, {row['method']}: silhouette {row['silhouette']:.3f}{interval}")
    print(f"picture: {config.output / 'embedding.png'}")


if __name__ == "__main__":
    main()
