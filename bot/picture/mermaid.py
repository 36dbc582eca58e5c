"""A focus graph as a Mermaid flowchart, which wikis and issue trackers draw by themselves.

Whatever is not plainly a letter, a digit or harmless punctuation is written as a character code, so no name can end a label or begin
mark-up. https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bot.picture import words
from bot.picture.dot import node_ids
from bot.picture.focus import Arrow, Focus, Seen, State
from bot.picture.labels import plain
from bot.picture.style import LOOKS, STUB, Look, colour, weight

_HARMLESS = frozenset(" ._-/+,:·…›")
_DASHES = {Seen.TRACED: "", Seen.COUNTED: "6 4", Seen.NETWORK: "2 4"}
_LONGEST = 80


def mermaid(focus: Focus) -> str:
    """The picture as Mermaid."""
    lines = ["flowchart LR", *(f"  {line}" for line in _statements(focus))]
    return "\n".join(lines) + "\n"


def _statements(focus: Focus) -> Iterator[str]:
    ids = node_ids(focus)
    yield f"accTitle: {_said(words.title(focus), 300)}"
    yield f"accDescr: {_said(words.alt(focus), words.MAX_ALT)}"
    for spot in focus.spots:
        look = LOOKS[spot.state]
        lines = map(_said, (spot.name, *words.facts(spot)))
        yield f"{ids[spot.id]}{_label(look, lines)}:::{spot.state.name.lower()}"
    for stub in focus.stubs:
        yield f"{ids[stub.id]}{_label(STUB, map(_said, words.stub_lines(stub)))}:::stub"
    for arrow in focus.arrows:
        text = words.mark(arrow)
        label = f'|"{_said(text)}"|' if text else ""
        yield f"{ids[arrow.caller]} -->{label} {ids[arrow.callee]}"
    for stub in focus.stubs:
        yield " -.-> ".join((ids[stub.id], ids[stub.beside]) if stub.callers else (ids[stub.beside], ids[stub.id]))
    for number, arrow in enumerate(focus.arrows):
        yield f"linkStyle {number} {_line(arrow)}"
    looks: Mapping[str, Look] = {state.name.lower(): LOOKS[state] for state in State} | {"stub": STUB}
    for name, look in looks.items():
        yield f"classDef {name} fill:{look.fill},stroke:{look.border},color:{look.text},stroke-width:{look.width:g}px"


def _label(look: Look, lines: Iterable[str]) -> str:
    opening, closing = look.mermaid
    return f'{opening}"{"<br/>".join(lines)}"{closing}'


def _line(arrow: Arrow) -> str:
    dashes = _DASHES[Seen.by(arrow.layers)]
    dashed = f",stroke-dasharray:{dashes}" if dashes else ""
    return f"stroke:{colour(arrow)},stroke-width:{weight(arrow):g}px{dashed}"


def _said(text: str, limit: int = _LONGEST) -> str:
    """Somebody's words, in character codes where they are more than words."""
    return "".join(char if char.isalnum() or char in _HARMLESS else f"#{ord(char)};" for char in plain(text, limit))
