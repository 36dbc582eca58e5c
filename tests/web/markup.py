"""Reads HTML back: its elements, their attributes and its text, so that tests speak of what a browser sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset(("br", "hr", "img", "meta", "link", "path", "circle", "rect", "use", "input"))


@dataclass
class Document:
    """What was found, in document order."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    unclosed: list[str] = field(default_factory=list)

    def named(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of that name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def classed(self, word: str) -> list[str]:
        """The names of the elements of that class."""
        return [name for name, attributes in self.tags if word in attributes.get("class", "").split()]

    def links(self) -> list[str]:
        """Where its links and sources lead."""
        return [
            attributes[key]
            for _, attributes in self.tags
            for key in ("href", "src", "action", "data")
            if key in attributes
        ]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Document()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.document.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.document.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.document.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.document.unclosed, f"</{tag}> closes nothing"
        assert self.document.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        self.document.text += data


def read(html: str) -> Document:
    """The document; fails where an end tag closes another element than the one that is open."""
    reader = _Reader()
    reader.feed(str(html))  # a Markup would escape what it is added to
    reader.close()
    assert reader.document.unclosed == []
    return reader.document
