"""How each state and each kind of line looks, for DOT and Mermaid alike.

Colours differ in lightness as well as in hue, and every state has a shape of its own, so that nobody has to tell red from green. The
picture brings its own light background: it reads the same in a dark theme.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.picture.focus import Arrow, Seen, State

BACKGROUND, INK, QUIET = "#ffffff", "#1d2129", "#5b6470"
LINE, SUSPECT, NEW, GONE = "#66707c", "#3d2b8f", "#00695c", "#9a3412"


@dataclass(frozen=True, slots=True)
class Look:
    """A state's colours and shapes. `mermaid` is what opens and closes a node there."""

    fill: str
    border: str
    text: str
    shape: str
    width: float
    mermaid: tuple[str, str]
    line: str = "solid"
    margin: str = "0.06,0.03"
    borders: int = 1


LOOKS = {
    State.FAILING: Look("#b3261e", "#5f0f0a", "#ffffff", "octagon", 2.5, ("[[", "]]"), margin="0,0"),
    State.CAUSE: Look(SUSPECT, "#1b1147", "#ffffff", "hexagon", 2.5, ("{{", "}}"), margin="0,0"),
    State.SUSPECTED: Look("#e3defa", SUSPECT, INK, "hexagon", 1.5, ("{{", "}}"), margin="0,0"),
    State.HIT: Look("#f5a623", "#7a4b00", INK, "box", 1.5, ("[/", "/]"), borders=2),
    State.AT_RISK: Look("#fff3c4", "#a67c00", INK, "box", 1.2, ("(", ")"), "rounded"),
    State.FOCUS: Look("#dcebfb", "#0b4f8a", INK, "box", 2.5, ("[[", "]]")),
    State.OTHER: Look("#f6f7f9", "#8a949e", INK, "box", 1.0, ("[", "]")),
}
STUB = Look("#ffffff", "#8a949e", QUIET, "folder", 1.0, (">", "]"), "dashed")

DASHES = {Seen.TRACED: "solid", Seen.COUNTED: "dashed", Seen.NETWORK: "dotted"}
SIGNS = {Seen.TRACED: "━━", Seen.COUNTED: "╍╍", Seen.NETWORK: "┈┈"}

_WEIGHTS = ((0.9, 2.2), (0.7, 1.7), (0.4, 1.2), (0.0, 0.8))
_SUSPECT_WEIGHT = 4.5


def weight(arrow: Arrow) -> float:
    """The surer a call, the heavier its line, in steps; the suspected way is the heaviest."""
    if arrow.suspect:
        return _SUSPECT_WEIGHT
    return next(width for least, width in _WEIGHTS if arrow.confidence >= least)


def colour(arrow: Arrow) -> str:
    """What is new or gone has a colour besides its word."""
    if arrow.suspect:
        return SUSPECT
    return {"new": NEW, "gone": GONE}.get(arrow.change, LINE)
