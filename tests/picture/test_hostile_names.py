"""Whatever a service, a domain or an intermediary is called, it is never more than words in a picture."""

from __future__ import annotations

import re
import unicodedata
from xml.etree import ElementTree as Tree

import pygraphviz
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.model import Layer
from bot.picture.dot import dot
from bot.picture.focus import Arrow, Focus, Spot, State, Stub
from bot.picture.labels import plain, wrapped
from bot.picture.mermaid import mermaid
from bot.picture.painter import Format, Painter
from bot.picture.svg import shown
from bot.picture.words import MAX_ALT, alt

NASTY = [
    "<script>alert(1)</script>", '"]; n9 [label="owned', "\\N\\G\\\\", "a\nb\r\nc", "\u202egnp.exe", "ا‏لدفع", "😀👨‍👩‍👧", "x" * 300,
    "]]>",
    "--> n9", "%%{init: {}}%%", "<!-- -->", "&lt;img src=x onerror=alert(1)&gt;", "`code`", "#quot;", "\x00\x07", "  ", "a\u0301" * 50,
       "</TD></TR></TABLE>>", '" URL="javascript:alert(1)', "end", "click n0 call x()", "\ud800", "subgraph cluster_x {",
]  # fmt: skip
names = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=320), st.text(alphabet="<>\"'\\&#;|{}[]()`-=%/ \n", max_size=40)
)

_ELEMENTS = {"TABLE", "TR", "TD", "FONT", "B"}
_NODE = {"label", "shape", "style", "fillcolor", "color", "fontcolor", "penwidth", "margin", "peripheries"}
_EDGE = {"label", "color", "penwidth", "style", "weight", "arrowhead", "constraint", "fontcolor", "arrowsize"}


def picture(root: str, caller: str, callee: str, via: str, group: str) -> Focus:
    spots = (
        Spot("1" + caller, caller or "?", State.HIT, -1, notes=("hit: errors",)),
        Spot("2" + root, root or "?", State.FAILING, 0, notes=(f"about {root}",)),
        Spot("3" + callee, callee or "?", State.CAUSE, 1),
    )
    first, second, third = (spot.id for spot in spots)
    return Focus(
        second, 1_700_000_000.0, spots,
        (Arrow(first, second, frozenset((Layer.NETWORK,)), 0.5, ((via, via), (root,)), "new"),
         Arrow(second, third, frozenset((Layer.TRACE,)), 0.9, (), "", True)),
        (Stub("callers 0", group, 12, second, -1, True, 3),), (third, 0.8), 4, 20,
    )  # fmt: skip


pictures = st.builds(picture, names, names, names, names, names)
many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(pictures)
def test_in_dot_a_name_is_never_syntax(focus: Focus) -> None:
    text = dot(focus)

    read = pygraphviz.AGraph(string=text)
    assert sorted(read.nodes()) == ["n0", "n1", "n2", "s0"]
    assert sorted(read.edges()) == [("n0", "n1"), ("n1", "n2"), ("s0", "n1")]
    for node in read.nodes():
        assert {name for name, value in node.attr.items() if value} <= _NODE | {"fontname", "height", "width"}
    for edge in read.edges():
        assert {name for name, value in edge.attr.items() if value} <= _EDGE | {"fontname", "fontsize"}
    for label in (read.graph_attr["label"], *(one.attr["label"] for one in (*read.nodes(), *read.edges()))):
        if label:
            assert {element.tag for element in Tree.fromstring(f"<x>{label}</x>").iter()} <= {"x"} | _ELEMENTS
    read.close()
    assert text == dot(focus)


@many
@given(pictures)
def test_in_mermaid_a_name_is_never_syntax(focus: Focus) -> None:
    said = r'(?:[^"<>`|\[\]{}()#;\n&\\%]|#\d+;)*'
    label = f'"{said}(?:<br/>{said})*"'
    shapes = [r"\[\[", r"\]\]", r"\{\{", r"\}\}", r"\[/", r"/\]", r"\(", r"\)", r"\[", r"\]", ">", r"\]"]
    node = "|".join(f"{left}{label}{right}" for left, right in zip(shapes[::2], shapes[1::2], strict=True))
    allowed = re.compile(
        rf"flowchart LR|  (?:accTitle: {said}|accDescr: {said}|[ns]\d+(?:{node}):::[a-z_]+|[ns]\d+ -->(?:\|{label}\|)? [ns]\d+"
        r"|[ns]\d+ -\.-> [ns]\d+|linkStyle \d+ [\w#:,. -]+|classDef [a-z_]+ [\w#:,.-]+)"
    )

    text = mermaid(focus)

    assert [line for line in text.split("\n")[:-1] if not allowed.fullmatch(line)] == []
    assert text == mermaid(focus)


@many
@given(names)
@example("é" * 500)
def test_labels_are_short_visible_and_keep_their_direction(name: str) -> None:
    line = plain(name)

    assert 0 < len(line) <= 300
    assert line.encode()
    assert all(unicodedata.category(char)[0] != "C" and char not in "\n\r\u2028\u2029" for char in line)
    shown_lines = wrapped(line)
    assert 1 <= len(shown_lines) <= 2
    assert all(0 < len(one) <= 16 for one in shown_lines)


@many
@given(pictures)
def test_the_alt_text_fits_and_is_one_line_whatever_it_tells_of(focus: Focus) -> None:
    text = alt(focus)

    assert len(text) <= MAX_ALT
    assert all(unicodedata.category(char)[0] != "C" for char in text)


@pytest.mark.parametrize("form", [Format.SVG, Format.PNG])
async def test_every_nasty_name_is_drawn_as_text(form: Format) -> None:
    async with Painter(1, 30) as paints:
        for place, name in enumerate(NASTY):
            other = NASTY[(place + 7) % len(NASTY)]
            body = await paints.paint(picture(name, other, name + other, other, name), form)
            if form is Format.SVG:
                kinds = {one.tag.rpartition("}")[2] for one in Tree.fromstring(body).iter()}
                assert kinds <= {"svg", "g", "title", "desc", "polygon", "polyline", "path", "ellipse", "text"}
                assert not re.search(rb"<[^>]*\s(on\w+|href|xlink:href|style)=", body)


def test_svg_with_anything_but_drawing_in_it_is_refused() -> None:
    focus = picture("a", "b", "c", "d", "e")
    space = 'xmlns="http://www.w3.org/2000/svg"'
    for inside in ("<script>alert(1)</script>", "<image/>", "<a/>", "<foreignObject/>", "<style/>", "<use/>", "<br"):
        with pytest.raises(Exception, match="layout program") as caught:
            shown(f"<svg {space}>{inside}</svg>".encode(), focus)
        assert type(caught.value).__name__ == "PictureError"
    cleaned = shown(f'<svg {space} onload="x()"><g style="a" fill="red"/></svg>'.encode(), focus)
    assert b"onload" not in cleaned
    assert b"style" not in cleaned
    assert b'fill="red"' in cleaned
