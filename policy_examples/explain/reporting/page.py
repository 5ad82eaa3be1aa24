"""The frame of a report: head, navigation, main part, foot."""

from collections.abc import Sequence
from dataclasses import dataclass

from policy_examples.explain.reporting.elements import Html, element, join, listing, paragraph, void
from policy_examples.explain.reporting.style import style_sheet

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; form-action 'none'"
"""Of the content: a browser loads nothing from anywhere, whatever a run's files said."""


@dataclass(frozen=True)
class Section:
    """A part of the page that the navigation names."""

    anchor: str
    """Unique in the page; letters, digits, hyphens."""
    short: str
    """In the navigation."""
    title: str
    content: Html


def page(title: str, lead: str, sections: Sequence[Section], made_by: str) -> str:
    """The whole document; `made_by` says in its foot how it came to be."""
    head = [
        void("meta", charset="utf-8"),
        void("meta", http_equiv="Content-Security-Policy", content=POLICY),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        void("meta", name="generator", content="xdistill report"),
        element("title", title),
        element("style", Html(f"\n{style_sheet()}\n")),
    ]
    links = listing(element("a", section.short, href=f"#{section.anchor}") for section in sections)
    top = element(
        "header",
        paragraph("xdistill report", class_="eyebrow"),
        element("h1", title),
        paragraph(lead, class_="lead"),
        element("nav", links, aria_label="Parts of this report"),
    )
    parts = [
        element(
            "section",
            element("h2", section.title, id=f"{section.anchor}-title"),
            section.content,
            id=section.anchor,
            aria_labelledby=f"{section.anchor}-title",
        )
        for section in sections
    ]
    body = [
        element("a", "Skip to the results", href="#main", class_="skip"),
        top,
        element("main", join(parts), id="main", tabindex=-1),
        element("footer", paragraph(made_by)),
    ]
    document = element("html", element("head", join(head)), element("body", join(body)), lang="en")
    return f"<!DOCTYPE html>\n{document}\n"
