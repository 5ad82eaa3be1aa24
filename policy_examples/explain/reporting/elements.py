"""HTML elements, every text in them escaped."""

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Text that is HTML already; any other string is escaped where it enters an element."""

    __slots__ = ()


def html(content: object) -> Html:
    """Content as HTML: escaped, unless it is HTML already."""
    return content if isinstance(content, Html) else Html(escape(str(content)))


def join(parts: Iterable[object], between: str = "\n") -> Html:
    """Contents one after the other."""
    return Html(between.join(html(part) for part in parts))


def element(name: str, /, *content: object, **attributes: object) -> Html:
    """`<name attribute="...">content</name>`.

    Args:
        attributes: `class_` is class, other underscores are hyphens; True is an attribute without value, None and False
            leave it out.
    """
    return Html(f"{_opening(name, attributes)}{join(content, '')}</{name}>")


def void(name: str, /, **attributes: object) -> Html:
    """An element that has no content: img, meta, source."""
    return Html(_opening(name, attributes))


def paragraph(*content: object, class_: str | None = None) -> Html:
    return element("p", *content, class_=class_)


def listing(entries: Iterable[object], class_: str | None = None) -> Html:
    return element("ul", *(element("li", entry) for entry in entries), class_=class_)


def figure(content: object, caption: object, class_: str | None = None) -> Html:
    """A picture, chart or video with its caption."""
    return element("figure", content, element("figcaption", caption), class_=class_)


def table(caption: object, header: Sequence[object], rows: Iterable[Sequence[object]], numbers: bool = True) -> Html:
    """A table with a row header in front, which scrolls sideways by itself where the page is narrow.

    Args:
        numbers: the cells after the first are set for figures.
    """
    head = element("tr", *(element("th", title, scope="col") for title in header))
    body = (
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    )
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    label = f"Table: {caption}"
    return element(
        "div", whole, class_="scroll figures" if numbers else "scroll", role="region", tabindex=0, aria_label=label
    )


def facts(pairs: Iterable[tuple[object, object]], long: bool = False) -> Html:
    """Names with their values, beside each other; `long` ones below each other."""
    groups = (element("div", element("dt", name), element("dd", value)) for name, value in pairs)
    return element("dl", *groups, class_="facts long" if long else "facts")


def folded(summary: object, *content: object) -> Html:
    """What opens by a click; print shows it open."""
    return element("details", element("summary", summary), *content)


def code(text: object) -> Html:
    return element("code", text)


def _opening(name: str, attributes: dict[str, object]) -> str:
    texts = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        texts.append(f" {key}" if value is True else f' {key}="{escape(str(value))}"')
    return f"<{name}{''.join(texts)}>"
