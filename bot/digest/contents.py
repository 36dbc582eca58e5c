"""What a digest tells of a period: dependencies that are new, gone or changed, the ones that concern most people first.

Comes in: a reading of a period, who asks, what he was told already. Goes out: lines. What is lost: calls of background services
(scrapers, name servers), and edges that a layer only guesses and is not sure enough of to show.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bot.catalog.entries import CatalogEntry
from bot.digest.period import Period
from bot.digest.persistence import CHANGED, GONE, NEW, Memory, Pairs, Persistence
from bot.digest.shifts import lasting
from bot.graph.edge_index import LAYERS, EdgeIndex
from bot.graph.sighting import SHOWN_ESTIMATE
from bot.model import ENTRY, UNATTRIBUTED, Kind, Layer, Subscription

Look = Callable[[str], CatalogEntry | None]

_KINDS = (NEW, GONE, CHANGED)


@dataclass(frozen=True, slots=True)
class Reading:
    """A period with the edges it is about, and what was known of the services then."""

    index: EdgeIndex
    period: Period
    entry: Look
    kinds: Mapping[str, Kind]
    """What is no service; and services, as far as their kind is known."""
    hidden: Collection[str] = frozenset()
    """Background services."""
    heard: dict[str, float] = field(default_factory=dict)
    """Layer -> how old its newest data was at the period's end (s)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to tell. `kind` is `new`, `gone` or `changed`; `calls` are those of the period, by layer.

    `owner` is the callee's owner, "" where none is known. `inversion` says which tiers, as `1 needs 3`, or "". `what`: how the
    calls changed.
    """

    kind: str
    caller: str
    callee: str
    calls: tuple[tuple[Layer, float], ...]
    first_seen: float
    last_seen: float
    owner: str = ""
    cross_team: bool = False
    external: bool = False
    inversion: str = ""
    what: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells this line from every other, from one day to the next. Service ids have no line breaks."""
        return f"{self.kind}\n{self.pair}"

    @property
    def pair(self) -> str:
        """Both ends, as a subscription's memory has them."""
        return f"{self.caller}\n{self.callee}"

    @property
    def notable(self) -> bool:
        """Whether it concerns more than one team's everyday work."""
        return self.cross_team or self.external or bool(self.inversion)


def lines(
    reading: Reading, asked: Subscription, memory: Memory | None = None, persistence: Persistence | None = None
) -> list[Line]:
    """What is new, gone and changed for those who `asked`: what concerns several teams first, then new before gone before
    changed, then by calls."""
    index, pairs = reading.index, Pairs(reading.index, reading.period, persistence)
    marks = pairs.news(memory)
    told: list[tuple[str, int, tuple[str, ...]]] = [
        (kind, pair, ()) for kind in (NEW, GONE) for pair in np.flatnonzero(marks[kind]).tolist()
    ]
    known = {pair for _, pair, _ in told}
    shifts = lasting(index, reading.period.sides) if reading.period.sides is not None else {}
    told += [(CHANGED, pair, what) for pair, what in shifts.items() if pair not in known and pairs.standing[pair]]
    found = []
    for kind, pair, what in told:
        caller, callee = index.edge(int(pairs.position[pair]))
        if caller in reading.hidden or callee in reading.hidden:
            continue
        if pairs.estimated[pair] and pairs.certainty(pair) < SHOWN_ESTIMATE:
            continue
        if any(fits(service, reading.entry(service), asked) for service in (caller, callee)):
            found.append((kind, pair, (caller, callee), what))
    layers = pairs.layers([pair for _, pair, _, _ in found])
    made = [_line(reading, kind, edge, what, layers[pair], pairs.times(pair)) for kind, pair, edge, what in found]
    return sorted(made, key=_weight)


def unattributed(reading: Reading, asked: Subscription) -> float | None:
    """The share of the network layer's connections of those services of which one end is nobody's; None where it saw none."""
    index, calls = reading.index, reading.period.calls
    size = len(calls)
    nobody, entry = index.place(UNATTRIBUTED), index.place(ENTRY)
    wanted = np.array([fits(service, reading.entry(service), asked) for service in index.services], bool)
    for place in (nobody, entry):
        if place is not None:
            wanted[place] = False
    callers, callees = (ends[:size] for ends in index.ends)
    network = (index.layers[:size] == LAYERS.index(Layer.NETWORK)) & (calls > 0)
    mine = network & (wanted[callers] | wanted[callees])
    if entry is not None:
        mine &= callers != entry
    total = float(calls[mine].sum())
    if nobody is None or total <= 0:
        return None if total <= 0 else 0.0
    return float(calls[mine & ((callers == nobody) | (callees == nobody))].sum()) / total


def fits(service: str, entry: CatalogEntry | None, asked: Subscription) -> bool:
    """Whether a service passes every filter."""
    if asked.service and asked.service != service:
        return False
    given = ((asked.team, _team(entry)), (asked.domain, entry.domain if entry else ""))
    if not all(not wanted or wanted.casefold() == known.casefold() for wanted, known in given):
        return False
    return not asked.tier or (entry is not None and _same_tier(asked.tier, entry.tier))


def covering(asked: Subscription, entries: Iterable[tuple[str, CatalogEntry]]) -> int:
    """How many services of the catalogue a subscription is about."""
    return sum(fits(service, entry, asked) for service, entry in entries)


def _line(
    reading: Reading,
    kind: str,
    edge: tuple[str, str],
    what: tuple[str, ...],
    calls: list[tuple[Layer, float]],
    times: tuple[float, float],
) -> Line:
    caller, callee = reading.entry(edge[0]), reading.entry(edge[1])
    teams = _team(caller), _team(callee)
    return Line(
        kind, *edge, tuple(sorted(calls)), *times, teams[1],
        cross_team=all(teams) and teams[0].casefold() != teams[1].casefold(),
        external=kind == NEW and reading.kinds.get(edge[1]) is Kind.EXTERNAL,
        inversion=_inversion(caller, callee) if kind == NEW else "",
        what=what,
    )  # fmt: skip


def _inversion(caller: CatalogEntry | None, callee: CatalogEntry | None) -> str:
    """Where a service needs one that matters less, and so is looked after less. Only tiers that end in a number compare."""
    tiers = [_tier(one.tier) if one else None for one in (caller, callee)]
    return f"{tiers[0]} needs {tiers[1]}" if None not in tiers and tiers[0] < tiers[1] else ""  # type: ignore[operator]


def _tier(text: str) -> int | None:
    """`1`, `tier-1`, `Tier 1` -> 1."""
    digit = text.strip()[-1:]
    return int(digit) if digit.isascii() and digit.isdigit() else None


def _same_tier(one: str, other: str) -> bool:
    numbers = _tier(one), _tier(other)
    return numbers[0] == numbers[1] if None not in numbers else one.casefold() == other.casefold()


def _team(entry: CatalogEntry | None) -> str:
    return entry.owner.team if entry is not None and entry.owner is not None else ""


def _weight(line: Line) -> tuple[bool, int, float, str, str]:
    calls = sum(calls for _, calls in line.calls)
    return not line.notable, _KINDS.index(line.kind), -calls, line.caller, line.callee
