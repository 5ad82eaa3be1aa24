"""Shows one run: success, learning, videos, explanations, provenance, what is missing."""

from collections.abc import Sequence

from policy_examples.explain.reporting.elements import Html, code, element, facts, html, join, listing
from policy_examples.explain.reporting.explained_part import embedding_part, saliency_part, scorecard_part
from policy_examples.explain.reporting.explanations import Explanations
from policy_examples.explain.reporting.facts import few_facts
from policy_examples.explain.reporting.learning_part import learning_part
from policy_examples.explain.reporting.media import Budget, film
from policy_examples.explain.reporting.missing import Missing, missing_of
from policy_examples.explain.reporting.provenance_part import provenance_part
from policy_examples.explain.reporting.runs import Run
from policy_examples.explain.reporting.success_part import hero, success_part

TITLES = {"success": "A solved episode", "failure": "A failed episode"}
"""Of the videos that `xdistill rollout` names so."""


def run_part(run: Run, colour: int, explained: Explanations, budget: Budget, picture_bytes: int) -> Html:
    """All that is known of a run.

    Args:
        colour: its colour everywhere in the page.
        explained: what lies in its folder.
        budget: bytes left for videos.
        picture_bytes: larger pictures become smaller ones.
    """
    parts = [
        hero(run.headline) if run.headline else html(""),
        facts(few_facts(run)),
        titled("Success", success_part(run, colour)),
        titled("Learning curves", learning_part([run], [colour])),
        titled("Videos", films_part(run, budget)),
        titled("Saliency", saliency_part(explained.saliency, budget, picture_bytes)),
        titled("Embedding", embedding_part(explained.embeddings, picture_bytes)),
        titled("Scorecard", scorecard_part(explained.scorecards)),
        titled("Configuration and provenance", provenance_part(run)),
        titled("Not in this run", missing_part(missing_of(run, explained))),
    ]
    return join(part for part in parts if part)


def titled(title: str, content: Html) -> Html:
    """Content under its heading; nothing where there is none."""
    return join([element("h3", title), content]) if content else content


def films_part(run: Run, budget: Budget) -> Html:
    """The run's videos side by side."""
    shown = []
    for path in run.films:
        title = TITLES.get(path.stem, path.stem.replace("_", " ").replace("-", " ").capitalize())
        where = "" if path.parent == run.folder else f", {path.parent.name}"
        shown.append(film(path, f"{title}{where}", f"{title.lower()} of {run.task or run.name}{where}", budget))
    return element("div", *shown, class_="grid") if shown else html("")


def missing_part(missing: Sequence[Missing]) -> Html:
    """What the run lacks, with the command that makes it."""
    entries = [join([f"{each.what}: ", code(each.how)], "") for each in missing]
    return listing(entries, class_="todo") if entries else html("")
