"""Writes one HTML page about runs, which needs nothing but itself: `xdistill report`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import tyro

from policy_examples.explain.reporting.comparison_part import anchor, comparison_part
from policy_examples.explain.reporting.elements import join
from policy_examples.explain.reporting.explained_part import embedding_part, saliency_part, scorecard_part
from policy_examples.explain.reporting.explanations import Explanations, explanations_within, open_explanations
from policy_examples.explain.reporting.media import Budget
from policy_examples.explain.reporting.page import Section, page
from policy_examples.explain.reporting.paper_part import paper_part
from policy_examples.explain.reporting.run_part import run_part, titled
from policy_examples.explain.reporting.runs import Run, read_runs
from policy_examples.whole_files import write_text
from xdistill_encoder.provenance import command, commit


@dataclass(frozen=True)
class Config:
    """Which runs, and how large the page may become."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders of `xdistill finetune`, `benchmark` (of one run), `rollout`, `demo`; several are compared."""
    output: Path | None = None
    """The page; None is report.html in the first run's folder."""
    title: str | None = None
    """Of the page; None: the tasks and encoders."""
    saliency: tuple[Path, ...] = ()
    """Folders of `xdistill explain saliency`, beside those that lie in the runs."""
    embedding: tuple[Path, ...] = ()
    """Folders of `xdistill explain embedding`, beside those that lie in the runs."""
    scorecard: tuple[Path, ...] = ()
    """Files of `xdistill scorecard --output`, beside the scorecard*.json that lie in the runs."""
    video_mb: float = 4.0
    """A larger video is shown by four of its frames."""
    page_mb: float = 24.0
    """All videos together; where these are spent, further ones are shown by four of their frames."""
    picture_mb: float = 3.0
    """A larger picture is shown smaller, as a JPEG."""

    def __post_init__(self) -> None:
        for name in ("video_mb", "page_mb", "picture_mb"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}.")


def write_report(config: Config) -> Path:
    """Write the page, whole or not at all; returns its path.

    Raises:
        ValueError: a folder that holds no run or lacks what was asked for, a damaged file.
        OSError: the page cannot be written there.
    """
    runs = read_runs(config.runs)
    path = config.output or config.runs[0] / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    given = open_explanations(config.saliency, config.embedding, config.scorecard)
    within = [explanations_within(run.folder) for run in runs]
    budget = Budget(video=round(config.video_mb * 1e6), page=round(config.page_mb * 1e6))
    pictures = round(config.picture_mb * 1e6)
    sections = []
    if len(runs) > 1:
        sections.append(Section("comparison", "Comparison", f"{len(runs)} runs compared", comparison_part(runs)))
    for colour, (run, its) in enumerate(zip(runs, within, strict=True)):
        content = run_part(run, colour, its, budget, pictures)
        sections.append(Section(anchor(run), run.name, run.name, content))
    sections += explained_sections(given, budget, pictures)
    sections.append(Section("paper", "The paper's numbers", "Beside the paper's numbers", paper_part(runs)))
    text = page(config.title or title_of(runs), lead_of(runs), sections, made_by())
    write_text(path, text)
    return path


def explained_sections(given: Explanations, budget: Budget, picture_bytes: int) -> list[Section]:
    """One for what was named on the command line; none where nothing was."""
    parts = [
        titled("Saliency", saliency_part(given.saliency, budget, picture_bytes)),
        titled("Embedding", embedding_part(given.embeddings, picture_bytes)),
        titled("Scorecard", scorecard_part(given.scorecards)),
    ]
    content = join(part for part in parts if part)
    return [Section("explained", "Explanations", "Explanations", content)] if content else []


def title_of(runs: Sequence[Run]) -> str:
    """ "drawer-open with xdistill", or how many runs of what."""
    tasks = list(dict.fromkeys(run.task for run in runs if run.task))
    encoders = list(dict.fromkeys(run.encoder for run in runs if run.encoder))
    named = ", ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks"
    return " with ".join(part for part in (named, ", ".join(encoders)) if part) or runs[0].name


def lead_of(runs: Sequence[Run]) -> str:
    """What the page is, in a sentence."""
    which = f"{len(runs)} runs" if len(runs) > 1 else f"A run of xdistill {runs[0].kind}"
    return f"{which}: how often the policy succeeds, how it learned, what it looks like, and what made it."


def made_by() -> str:
    """How and when the page came to be."""
    source = commit(Path(__file__))
    code = f", commit {source}" if source else ""
    return f"Written {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC by `{command()}`{code}."


def main() -> None:
    """`xdistill report`."""
    description = "Runs -> one HTML page that needs nothing but itself."
    try:
        config = tyro.cli(Config, prog="xdistill report", description=description)
        path = write_report(config)
    except (ValueError, OSError) as error:
        raise SystemExit(f"xdistill report: {error}") from error
    print(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
