"""Who is drawn and who is folded: services within reach, the most telling first, and the rest as counted stubs.

Comes in: the two walks from a service. Goes out: columns of those drawn, and stubs for all others, each counted once. What is lost:
which of the drawn services the farther members of a stub lead to, beyond the first hundred of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.enrich.view import MapView
from bot.graph.walk import Reach
from bot.picture.focus import MAX_NODES, Stub

MAX_HEIGHT = 10
"""Services above each other, unless they fail: a picture that is much higher than it is wide is not read."""

_STUBS_A_SIDE = 3
_RESERVED = 2 * _STUBS_A_SIDE
_PLACED = 100
_TO_CALLEES = 3
"""Callees may have a third of the room where there are enough of both."""


Side = tuple[Sequence[str], Reach]
"""Everybody within reach on one side, the most telling first, and the walk that found them."""


@dataclass(slots=True)
class Drawn:
    """Who is drawn, service -> column, and how many in each. `room` is what is left; `telling` are those who may make a column
    higher than others may."""

    room: int
    telling: Collection[str]
    columns: dict[str, int] = field(default_factory=dict)
    heights: Counter[int] = field(default_factory=Counter)

    def put(self, service: str, column: int) -> None:
        """Draw one."""
        self.columns[service] = column
        self.heights[column] += 1

    def take(self, path: Sequence[str], column: Mapping[str, int], sign: int, room: int) -> int:
        """Draw all of a path, or nothing where it does not fit in `room` (and the picture's own). Gives how many that took."""
        wanted = [one for one in path if one not in self.columns]
        if len(wanted) > min(room, self.room):
            return 0
        for one in wanted:
            self.put(one, sign * column[one])
        self.room -= len(wanted)
        return len(wanted)

    def fill(self, wanted: Iterable[str], reach: Reach, sign: int, room: int) -> int:
        """Draw those that are wanted, the first first, each with its way to the start. Gives how many that took."""
        column, taken = {**reach.found, **dict.fromkeys(reach.start, 0)}, 0
        for one in wanted:
            if taken >= room or not self.room:
                break
            crowded = self.heights[sign * column[one]] >= MAX_HEIGHT and one not in self.telling
            if one not in self.columns and not crowded:
                taken += self.take(reach.path(one), column, sign, room - taken)
        return taken


@dataclass(frozen=True, slots=True)
class Around:
    """What lies around `start`: `first`, the likely causes, each with the walk that found it; those `above` (callers) and `below` it
    (callees), in the order they are drawn in; who of the callers is `hit`, and who else is `telling`."""

    start: str
    first: Sequence[tuple[str, Reach]]
    above: Side
    below: Side
    hit: Mapping[str, str]
    telling: Collection[str]


def divide(view: MapView, around: Around) -> tuple[Drawn, list[Stub]]:
    """Who is drawn, and stubs for all others. Room that stubs turn out not to need goes to services."""
    drawn = _draw(around, _RESERVED)
    stubs = _fold(view, drawn, around)
    spare = MAX_NODES - len(drawn.columns) - len(stubs)
    if stubs and spare > 0 and drawn.room == 0:
        fuller = _draw(around, _RESERVED - spare)
        fewer = _fold(view, fuller, around)
        if len(fuller.columns) + len(fewer) <= MAX_NODES:
            return fuller, fewer
    return drawn, stubs


def _draw(around: Around, reserved: int) -> Drawn:
    """Choose who is drawn, leaving room for `reserved` stubs where not all are."""
    first, above, below = around.first, around.above, around.below
    reached = above[1].found.keys() | below[1].found.keys()
    everybody = len(reached | {one for one, _ in first}) < MAX_NODES
    everybody &= all(
        count <= MAX_HEIGHT for _, reach in (above, below) for count in Counter(reach.found.values()).values()
    )
    telling = {*around.hit, *around.telling, *(one for one, _ in first)}
    drawn = Drawn(MAX_NODES if everybody else MAX_NODES - reserved, telling)
    drawn.take([around.start], {around.start: 0}, 1, 1)
    for one, reach in first:
        drawn.fill([one], reach, 1 if reach is not above[1] else -1, drawn.room // 2)
    callees = min(len(below[1].found), drawn.room // _TO_CALLEES)
    drawn.fill(above[0], above[1], -1, drawn.room - callees)
    drawn.fill(below[0], below[1], 1, drawn.room)
    drawn.fill(above[0], above[1], -1, drawn.room)
    return drawn


def _fold(view: MapView, drawn: Drawn, around: Around) -> list[Stub]:
    """Stubs for everybody within reach who is not drawn. Whoever would stand alone in one is drawn after all."""
    stubs: list[Stub] = []
    folded: set[str] = set()
    for callers, (ordered, reach) in ((True, around.above), (False, around.below)):
        rest = [one for one in ordered if one not in drawn.columns and one not in folded]
        folded.update(rest)
        groups = _groups(view, rest, _STUBS_A_SIDE)
        for place, (name, members) in enumerate(groups):
            sign = -1 if callers else 1
            more = reach.truncated and place == len(groups) - 1
            if len(members) == 1 and not more and reach.step(members[0]) in drawn.columns:
                drawn.put(members[0], sign * reach.found[members[0]])
                continue
            beside = _beside(members, reach, drawn.columns)
            stubs.append(
                Stub(f"{'callers' if callers else 'callees'} {place}", name, len(members), beside,
                     drawn.columns[beside] + sign, callers, sum(one in around.hit for one in members) if callers else 0, more)
            )  # fmt: skip
    return stubs


def _groups(view: MapView, services: Sequence[str], most: int) -> list[tuple[str, list[str]]]:
    """By domain, or else by owner; the largest, and all others together last, under no name."""
    found: dict[str, list[str]] = {}
    for service in services:
        entry = view.entry(service)
        name = "" if entry is None else entry.domain or (entry.owner.team if entry.owner is not None else "")
        found.setdefault(name, []).append(service)
    named = sorted(((name, those) for name, those in found.items() if name), key=lambda one: (-len(one[1]), one[0]))
    kept, others = (named, []) if len(named) + ("" in found) <= most else (named[: most - 1], named[most - 1 :])
    rest = [*found.get("", ()), *(one for _, those in others for one in those)]
    return [*kept, *([("", rest)] if rest else [])]


def _beside(members: Sequence[str], reach: Reach, drawn: Mapping[str, int]) -> str:
    """The drawn service that most of these lead to."""
    met: Counter[str] = Counter()
    for member in members[:_PLACED]:
        one = member
        while one not in drawn:
            one = reach.step(one)
        met[one] += 1
    return min(met, key=lambda one: (-met[one], one))
