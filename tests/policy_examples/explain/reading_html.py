"""A page as a parser reads it."""

from html.parser import HTMLParser

VOID = {"meta", "img", "source", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Elements, texts and mistakes of a document.

    Attributes:
        elements: (name, attributes) of each.
        mistakes: elements that are not closed where they should be.
        text: all that is not markup or style.
    """

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.mistakes: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(document)
        self.close()
        self.mistakes += [f"{name} is never closed" for name in self._open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if len(dict(attrs)) < len(attrs):
            self.mistakes.append(f"{tag} has an attribute twice: {attrs}")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            self.mistakes.append(f"</{tag}> within {self._open[-3:]}")
        else:
            self._open.pop()

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a name."""
        return [attributes for tag, attributes in self.elements if tag == name]
