"""Reads a text the way a file of it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import dedent

from bot.catalog import plain_yaml
from bot.catalog.facts import Facts, Format, Notes, Reading
from bot.catalog.plain_yaml import Document


def reading(read: Callable[[Sequence[Document], Notes], None], text: str, format: Format = Format.BACKSTAGE) -> Reading:
    """What a reader makes of a text."""
    notes = Notes(format, "file.yaml", "file.yaml")
    read(list(plain_yaml.documents(dedent(text).encode())), notes)
    return notes.reading()


def only(found: Reading) -> Facts:
    """The one service it is about, where nothing was wrong."""
    assert found.problems == ()
    (fact,) = found.facts
    return fact


def fact(identifier: str, format: Format = Format.SERVICES, source: str = "", **said: object) -> Facts:
    """Facts as a reader would have made them."""
    return Facts(id=identifier, format=format, source=source or format.name.lower(), **said)  # type: ignore[arg-type]
