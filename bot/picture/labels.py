"""Names as a picture shows them: whatever a name holds comes in, short plain lines go out.

What is lost: control and format characters (among them those that turn the direction of writing), the middle of what is too long.
Marking text up for DOT, Mermaid or XML is left to those who write these; nothing here is markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bot.model import PSEUDO, Node
from bot.names import printable

ELLIPSIS = "…"
LINE = 15
LINES = 2
_READ = 1_000
_MARKS = 2
IN_NAMES, IN_WORDS = re.compile(r"(?<=[-._/:@ ])"), re.compile(r"(?<= )")
"""After what a line may be broken."""
_COMBINING = ("Mn", "Me", "Mc")


def plain(text: str, limit: int = 300) -> str:
    """One line of visible text: no control or format character, no pile of combining marks, at most `limit` characters."""
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", printable(text[:_READ])):
        marks = marks + 1 if unicodedata.category(char) in _COMBINING else 0
        if marks <= _MARKS:
            kept.append(" " if char.isspace() else char)
    return cut(" ".join("".join(kept).split()) or "?", limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters: the start and the end, which tell names apart, with `…` between."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}{ELLIPSIS}{text[len(text) - (limit - 1 - head) :]}"


def wrapped(text: str, width: int = LINE, lines: int = LINES, breaks: re.Pattern[str] = IN_NAMES) -> list[str]:
    """The text in at most so many lines, broken after `-`, `.`, `/` and the like (or only between words) where it can be."""
    rest, found = cut(text, width * lines), [""]
    for piece in breaks.split(rest):
        if len(found[-1]) + len(piece.rstrip()) <= width:
            found[-1] += piece
            continue
        while len(piece) > width:
            room = width - len(found[-1])
            found[-1] += piece[:room]
            piece = piece[room:]
            found.append("")
        if len(found[-1]) + len(piece) > width:
            found.append("")
        found[-1] += piece
    shown = [line.strip() for line in found if line.strip()]
    if len(shown) > lines:  # broken early, it took more lines than its length needs
        shown = [*shown[: lines - 1], cut("".join(found[lines - 1 :]).strip(), width)]
    return shown or ["?"]


def short_names(nodes: Sequence[Node], focus: Node) -> dict[str, str]:
    """What each service is called in a picture: by its name alone where that is clear, else by all of its id.

    Clear is what nobody else in the picture is called, and what is of the namespace and environment of the service asked about.
    """
    taken: dict[str, int] = {}
    for node in nodes:
        taken[_name(node)] = taken.get(_name(node), 0) + 1
    found = {}
    for node in nodes:
        at_home = node.environment == focus.environment and node.namespace in ("", focus.namespace)
        clear = taken[_name(node)] == 1 and (at_home or node.id in PSEUDO)
        found[node.id] = _name(node) if clear else plain(node.id)
    return found


def _name(node: Node) -> str:
    return plain(node.name or node.id)
