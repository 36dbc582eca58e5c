"""What Graphviz wrote as SVG, made fit to be shown: only drawing is let through, with the picture's words in it.

Comes in: Graphviz's SVG and the `Focus` it is of. Goes out: SVG without scripts, links, styles or references of any kind, with a title
and a description for screen readers and each service's full name as its tooltip.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as Tree

from bot.errors import PictureError
from bot.picture import words
from bot.picture.dot import node_ids
from bot.picture.focus import Focus
from bot.picture.labels import plain

SVG = "http://www.w3.org/2000/svg"
_DRAWING = frozenset(("svg", "g", "title", "polygon", "polyline", "path", "ellipse", "text"))
_ATTRIBUTES = frozenset((
    "class", "cx", "cy", "d", "fill", "font-family", "font-size", "font-weight", "height", "id", "points", "rx", "ry", "stroke",
    "stroke-dasharray", "stroke-width", "text-anchor", "transform", "viewBox", "width", "x", "y",
))  # fmt: skip


def drawing(svg: bytes) -> Tree.Element:
    """The SVG without anything but drawing in it. Raises PictureError where it holds more."""
    try:
        root = Tree.fromstring(svg)  # noqa: S314  (of our own program's making: nothing in it can declare an entity)
    except Tree.ParseError as error:
        raise PictureError("refused", f"the layout program wrote no SVG ({error})") from None
    for element in root.iter():
        kind = element.tag.removeprefix(f"{{{SVG}}}")
        if kind not in _DRAWING:
            raise PictureError("refused", f"the layout program drew what no picture has ({kind[:40]})")
        for name in [name for name in element.attrib if name not in _ATTRIBUTES]:
            del element.attrib[name]
    return root


def shown(svg: bytes, focus: Focus) -> bytes:
    """The SVG to show. Raises PictureError where it holds anything but drawing."""
    root = drawing(svg)
    names = {node: plain(name) for name, node in node_ids(focus).items() if name in focus.by_id}
    for element in root.iter():
        if element.get("class") in ("node", "edge", "graph"):
            _tell(element, names)
    root.set("role", "img")
    for place, (kind, text) in enumerate((("title", words.title(focus)), ("desc", words.alt(focus)))):
        said = Tree.Element(f"{{{SVG}}}{kind}")
        said.text = text
        root.insert(place, said)
    Tree.register_namespace("", SVG)
    written: bytes = Tree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _tell(element: Tree.Element, names: Mapping[str, str]) -> None:
    """A service's tooltip is its full name; of arrows and stubs, what is written beside them is enough."""
    title = element.find(f"{{{SVG}}}title")
    if title is None:
        return
    if (name := names.get(title.text or "")) is not None:
        title.text = name
    else:
        element.remove(title)
