"""A laid out graph as a figure on a page: its nodes and calls are links that can be pointed at, focused and read aloud.

Comes in: Graphviz's SVG, and what is to be said of each node and call by their ids in the DOT. Goes out: SVG to stand in the page, with
classes where colours were, so that the page's theme dresses it; no script, no style, and nothing of anybody's that is not text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as Tree

from markupsafe import Markup

from bot.picture.svg import SVG, drawing

_POINTS_TO_PIXELS = 4 / 3
_NARROWEST = 320


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of one node or call: where it leads, what a screen reader says of it, and its classes. `key` names the row
    of a table that says more."""

    href: str
    label: str
    classes: tuple[str, ...] = ()
    key: str = ""


def figure(svg: bytes, marks: Mapping[str, Mark], title: str, description: str) -> Markup:
    """The SVG as markup. Raises PictureError where it holds more than drawing."""
    root = drawing(svg)
    graph = root.find(f"{{{SVG}}}g")
    width = float(re.sub(r"[^\d.]", "", root.get("width", "")) or _NARROWEST) * _POINTS_TO_PIXELS
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("width", f"{max(_NARROWEST, width):.0f}")
    root.set("role", "group")
    root.set("class", "graph")
    root.set("aria-labelledby", "figure-title")
    root.set("aria-describedby", "figure-said")
    for place, (kind, ident, text) in enumerate(
        (("title", "figure-title", title), ("desc", "figure-said", description))
    ):
        said = Tree.Element(f"{{{SVG}}}{kind}", {"id": ident})
        said.text = text
        root.insert(place, said)
    if graph is not None:
        _dress(graph, marks)
    Tree.register_namespace("", SVG)
    return Markup(Tree.tostring(root, encoding="unicode"))  # noqa: S704  (an XML writer's: every text in it is escaped)


def _dress(graph: Tree.Element, marks: Mapping[str, Mark]) -> None:
    """Nodes first, in the DOT's order, which is the order to read them in; then calls, which begin and end at their borders."""
    nodes: list[Tree.Element] = []
    calls: list[Tree.Element] = []
    for element in list(graph):
        title = element.find(f"{{{SVG}}}title")
        kind, ident = element.get("class"), (title.text or "") if title is not None else ""
        if title is not None:
            element.remove(title)
        if kind not in ("node", "edge"):
            graph.remove(element)  # the background: the page has its own
            continue
        graph.remove(element)
        found = _linked(element, marks.get(ident), kind)
        (nodes if kind == "node" else calls).append(found)
    del graph.attrib["class"]
    graph.attrib.pop("id", None)
    graph.extend([*nodes, *calls])


def _linked(element: Tree.Element, mark: Mark | None, kind: str) -> Tree.Element:
    element.attrib.pop("id", None)
    element.set("class", kind)
    if mark is None:
        return element
    link = Tree.Element(
        f"{{{SVG}}}a", {"href": mark.href, "class": " ".join((kind, *mark.classes)), "aria-label": mark.label}
    )
    del element.attrib["class"]
    if mark.key:
        link.set("data-key", mark.key)
    if kind == "edge" and (path := element.find(f"{{{SVG}}}path")) is not None:
        # A line is too thin to be pointed at.
        element.insert(0, Tree.Element(f"{{{SVG}}}path", {"class": "reach", "d": path.get("d", "")}))
    link.append(element)
    return link
