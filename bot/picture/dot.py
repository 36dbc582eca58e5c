"""A focus graph as DOT, Graphviz's language: the same graph always gives the same text.

Ids are our own (`n0`, `s0`), attributes are written here alone, and every word of somebody else's goes through `said`, which leaves
no mark-up in it. https://graphviz.org/doc/info/lang.html, https://graphviz.org/doc/info/shapes.html#html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from bot.picture import words
from bot.picture.focus import Arrow, Focus, Seen, Spot, State, Stub
from bot.picture.labels import IN_WORDS, plain, wrapped
from bot.picture.style import BACKGROUND, DASHES, INK, LOOKS, QUIET, SIGNS, STUB, colour, weight

FONT = "DejaVu Sans,Verdana,Arial,sans-serif"
_TITLE, _NAME, _SMALL, _TINY = 21, 16, 12, 11
_ASKED, _LOUD = 20, {State.FAILING: 17, State.CAUSE: 19, State.FOCUS: 19, State.HIT: 17}
_TITLE_LINE = 44
Attributes = Mapping[str, str]


def dot(focus: Focus, *, titled: bool = True) -> str:
    """The picture as DOT; without its title where what is around it says as much."""
    ids = node_ids(focus)
    lines = [
        "digraph picture {",
        *(f"  {line};" for line in _statements(focus, ids, _title(focus) if titled else "")),
        "}",
    ]
    return "\n".join(lines) + "\n"


def node_ids(focus: Focus) -> dict[str, str]:
    """Each service's and each stub's id in the text: ours, so that no name is ever part of the syntax."""
    spots = {spot.id: f"n{place}" for place, spot in enumerate(focus.spots)}
    return spots | {stub.id: f"s{place}" for place, stub in enumerate(focus.stubs)}


def _statements(focus: Focus, ids: Mapping[str, str], title: str) -> Iterator[str]:
    yield "graph" + listed({
        "rankdir": "LR", "bgcolor": BACKGROUND, "pad": "0.25", "nodesep": "0.16", "ranksep": _between(focus), "size": "16,16",
        **({"label": title} if title else {}), "labelloc": "t", "labeljust": "l", "fontname": FONT, "fontcolor": INK,
        "outputorder": "edgesfirst", "splines": "true", "charset": "UTF-8",
    })  # fmt: skip
    yield "node" + listed({"fontname": FONT, "height": "0.4", "width": "0.8"})
    yield "edge" + listed({"fontname": FONT, "arrowsize": "0.75", "fontsize": str(_TINY)})
    for spot in focus.spots:
        yield ids[spot.id] + listed(_spot(spot))
    for stub in focus.stubs:
        yield ids[stub.id] + listed(_stub(stub))
    columns = {spot.id: spot.column for spot in focus.spots}
    for arrow in focus.arrows:
        onward = columns[arrow.callee] > columns[arrow.caller]
        yield f"{ids[arrow.caller]} -> {ids[arrow.callee]}" + listed(_arrow(arrow, onward))
    for stub in focus.stubs:
        ends = (ids[stub.id], ids[stub.beside]) if stub.callers else (ids[stub.beside], ids[stub.id])
        yield " -> ".join(ends) + listed({"style": "dashed", "color": STUB.border, "penwidth": "1", "arrowsize": "0.6"})


def _between(focus: Focus) -> str:
    """Room between columns, in inches: the fewer there are, the more; else arrows of many into one are too steep to follow."""
    return {1: "0.9", 2: "0.9", 3: "0.9", 4: "0.55"}.get(len({spot.column for spot in focus.spots}), "0.32")


def _spot(spot: Spot) -> Attributes:
    look, size = LOOKS[spot.state], _ASKED if spot.column == 0 else _LOUD.get(spot.state, _NAME)
    loud = spot.state in _LOUD
    lines = [said(line, size, bold=loud) for line in wrapped(plain(spot.name))]
    lines += [said(line, _SMALL) for fact in words.facts(spot) for line in wrapped(fact, 18, 2, IN_WORDS)]
    return {
        "label": stacked(lines), "shape": look.shape, "style": f"filled,{look.line}", "fillcolor": look.fill,
        "color": look.border, "fontcolor": look.text, "penwidth": f"{look.width:g}", "margin": look.margin,
        "peripheries": str(look.borders),
    }  # fmt: skip


def _stub(stub: Stub) -> Attributes:
    first, *rest = words.stub_lines(stub)
    lines = [said(line, _SMALL) for line in (*wrapped(first, 22, 2, IN_WORDS), *rest)]
    look = LOOKS[State.HIT] if stub.hit else STUB
    return {
        "label": stacked(lines), "shape": STUB.shape, "style": f"filled,{STUB.line}", "fillcolor": STUB.fill,
        "color": look.border, "fontcolor": STUB.text, "penwidth": f"{STUB.width:g}", "margin": STUB.margin,
    }  # fmt: skip


def _arrow(arrow: Arrow, onward: bool) -> Attributes:
    found = {
        "color": colour(arrow), "penwidth": f"{weight(arrow):g}", "style": DASHES[Seen.by(arrow.layers)],
    }  # fmt: skip
    if arrow.suspect:
        found |= {"weight": "8"}
    if arrow.change == "gone":
        found |= {"arrowhead": "tee"}
    if not onward:  # a call back, or among equals: it must not push its ends into other columns
        found |= {"constraint": "false"}
    if text := words.mark(arrow):
        found |= {
            "label": stacked([said(text, _TINY)], padding=3),
            "fontcolor": colour(arrow) if arrow.change else QUIET,
        }
    return found


def _title(focus: Focus) -> str:
    told = (line for one in words.title_lines(focus) for line in wrapped(one, _TITLE_LINE))
    lines = [said(line, _TITLE, bold=True) for line in told]
    lines.append(said(words.subtitle(focus), _SMALL, QUIET))
    seen = " · ".join(f"{SIGNS[one]} {one.value}" for one in words.legend(focus))
    left_out = f"{focus.arrows_left_out} calls left out" if focus.arrows_left_out else ""
    if notes := " · ".join(filter(None, (seen, left_out))):
        lines.append(said(notes, _TINY, QUIET))
    return stacked([*lines, ""], "LEFT")  # the empty line keeps the services off the title


def stacked(lines: list[str], align: str = "CENTER", padding: int = 1) -> str:
    """Lines under each other. A table, since lines of different sizes overlap where they are only broken."""
    rows = "".join(f'<TR><TD ALIGN="{align}">{line}</TD></TR>' for line in lines)
    return f'<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="{padding}">{rows}</TABLE>'


def said(text: str, size: int, colour: str = "", *, bold: bool = False) -> str:
    """Somebody's words as part of a label. The only way they get in: visible characters alone,
    escaped as XML, and in no other language's syntax."""
    font = f'POINT-SIZE="{size}"' + (f' COLOR="{colour}"' if colour else "")
    words_ = escape(plain(text))
    return f"<FONT {font}>{f'<B>{words_}</B>' if bold else words_}</FONT>"


def listed(attributes: Attributes) -> str:
    """Attributes as a statement has them."""
    return " [" + ", ".join(f"{name}={_value(name, value)}" for name, value in attributes.items()) + "]"


def _value(name: str, value: str) -> str:
    """Labels are HTML-like and made by `said`; the rest are ours, and quoted."""
    return f"<{value}>" if name == "label" else f'"{value}"'
