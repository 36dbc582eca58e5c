"""A small graph of boxes and arrows as DOT, for pictures that are not of one service: groups, differences, a trace, a group's inside.

Comes in: boxes and arrows with their words. Goes out: DOT, and where each ended up in it. What is lost: boxes and arrows beyond
`MAX_BOXES` and `MAX_ARROWS`; whoever asks has sorted them, the most telling first, and says how many are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from bot.page.figure import Mark
from bot.picture.dot import FONT, listed, said, stacked
from bot.picture.labels import IN_WORDS, plain, wrapped
from bot.picture.style import BACKGROUND, INK, LINE

MAX_BOXES, MAX_ARROWS = 30, 70
_NAME, _SMALL, _TINY = 16, 12, 11


@dataclass(frozen=True, slots=True)
class Box:
    """A node: its name, further lines, where it leads, and its classes on the page. `shape` is Graphviz's."""

    id: str
    name: str
    lines: tuple[str, ...]
    mark: Mark
    shape: str = "box"
    rounded: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """An arrow from one box to another, how heavy it is, what stands at it, and whether it is dashed."""

    start: str
    end: str
    mark: Mark
    width: float = 1.4
    text: str = ""
    style: str = "solid"


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is drawn of boxes and arrows. `left_out` counts the boxes and the arrows that are not."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    left_out: tuple[int, int] = (0, 0)
    ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, boxes: Sequence[Box], lines: Sequence[Line], most: int = MAX_ARROWS) -> Sketch:
        """The first boxes, and the first arrows between them, `most` of these."""
        kept = boxes[:MAX_BOXES]
        ids = {box.id: f"n{place}" for place, box in enumerate(kept)}
        between = [line for line in lines if line.start in ids and line.end in ids]
        drawn = between[:most]
        return cls(kept, drawn, (len(boxes) - len(kept), len(lines) - len(drawn)), ids)

    @property
    def marks(self) -> dict[str, Mark]:
        """What the figure says of each, by their ids in the DOT."""
        boxes = {self.ids[box.id]: box.mark for box in self.boxes}
        return boxes | {f"{self.ids[line.start]}->{self.ids[line.end]}": line.mark for line in self.lines}

    def dot(self) -> str:
        """The graph's text: the same for the same graph."""
        return "\n".join(["digraph sketch {", *(f"  {one};" for one in self._statements()), "}", ""])

    def _statements(self) -> Iterator[str]:
        yield "graph" + listed({
            "rankdir": "LR", "bgcolor": BACKGROUND, "pad": "0.25", "nodesep": "0.2", "ranksep": "0.7", "size": "16,16",
            "fontname": FONT, "fontcolor": INK, "outputorder": "edgesfirst", "splines": "true", "charset": "UTF-8",
        })  # fmt: skip
        yield "node" + listed({"fontname": FONT, "height": "0.45", "width": "0.9"})
        yield "edge" + listed({"fontname": FONT, "arrowsize": "0.7", "color": LINE})
        for box in self.boxes:
            yield self.ids[box.id] + listed({
                "label": stacked([
                    *(said(line, _NAME, bold=True) for line in wrapped(plain(box.name))),
                    *(said(line, _SMALL) for text in box.lines for line in wrapped(text, 20, 2, IN_WORDS)),
                ]),
                "shape": box.shape, "style": "filled,rounded" if box.rounded else "filled", "fillcolor": "#ffffff", "color": LINE,
                "margin": "0.1,0.05",
            })  # fmt: skip
        for line in self.lines:
            attributes = {"penwidth": f"{line.width:.1f}", "style": line.style}
            if line.text:
                attributes["label"] = stacked([said(line.text, _TINY)], padding=3)
            yield f"{self.ids[line.start]} -> {self.ids[line.end]}" + listed(attributes)


def heavier(amount: float, most: float) -> float:
    """A line's width by how much goes along it, between 1 and 5."""
    return 1.0 + 4.0 * (amount / most) ** 0.5 if most > 0 and amount > 0 else 1.0


def left_out(sketch: Sketch, boxes: str, lines: str) -> str:
    """How much is not drawn, in words; '' where everything is."""
    counted: Collection[str] = [
        f"{count:,} {what}" for count, what in zip(sketch.left_out, (boxes, lines), strict=True) if count
    ]
    return f"Not drawn: {' and '.join(counted)}." if counted else ""
