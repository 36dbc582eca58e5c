"""Which edges of the map may stand in PagerDuty's service graph: comes in a map and PagerDuty's services, goes out who needs whom.

Only what is sure: both ends are PagerDuty services by the names the catalogue gives them, some layer saw the two ends itself, the
confidence is high, and the edge has persisted. What is left out is counted, with a reason. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Mapping
from dataclasses import dataclass, field

from bot import names
from bot.digest.persistence import Persistence
from bot.enrich.view import MapView
from bot.graph.live import LiveGraph
from bot.graph.sighting import Sighted
from bot.model import Layer
from bot.pushed import Pair

DAY = 86_400.0
PERSISTENCE = Persistence(seconds=DAY)
"""As the digest has it, and at least a day from the first sighting to the last."""
REPORTED_SECONDS = 900.0
"""A layer that was heard of this recently reports; the silence of one that does not says nothing."""

_PRODUCTION = "production"
_PAUSE = 1_000


@dataclass(frozen=True, slots=True)
class Sight:
    """One edge between two PagerDuty services, as the map has it. Times are epoch seconds; `habit` is the usual number of
    seconds between minutes with calls."""

    caller: str
    callee: str
    confidence: float
    first_seen: float
    last_seen: float
    habit: float
    layers: str


@dataclass(frozen=True, slots=True)
class Found:
    """`services`: PagerDuty id -> service on the map. `seen`: every edge between them. `wanted`: those fit to be pushed, the
    oldest first. `left_out`: how many are not, by reason."""

    services: Mapping[str, str]
    seen: Mapping[Pair, Sight]
    wanted: tuple[Pair, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    reporting: frozenset[str] = frozenset()
    """Layers that report now."""


def discovering(view: MapView, ids: Iterable[str], least: float, now: float) -> Generator[None, None, Found]:
    """What the map says of PagerDuty's services. `least` is the confidence that is enough. Linear in services and their edges,
    so it pauses every thousand or so; between two pauses nothing is held that the map may change."""
    graph, left_out = view.graph, Counter[str]()
    known = yield from _mapped(graph, ids, left_out)
    numbers = {service: number for number, service in known.items()}
    seen: dict[Pair, Sight] = {}
    wanted: list[Pair] = []
    looked = 0
    for service, number in numbers.items():
        for callee in graph.callees(service) if service in graph else ():
            looked += 1
            if callee == service:
                continue
            if callee not in numbers:
                left_out["one end is no PagerDuty service"] += 1
                continue
            pair = number, numbers[callee]
            parts = graph.layers(service, callee)
            sight = seen[pair] = _sight(service, callee, parts, graph.confidence(service, callee, now))
            if why := _unfit(sight, parts, graph.background, least):
                left_out[why] += 1
            else:
                wanted.append(pair)
        if looked > _PAUSE:
            yield
            looked = 0
    wanted.sort(key=lambda pair: (seen[pair].first_seen, pair))
    reporting = frozenset(layer.value for layer, last in view.heard.items() if now - last < REPORTED_SECONDS)
    return Found(known, seen, tuple(wanted), left_out, reporting)


def _mapped(graph: LiveGraph, ids: Iterable[str], left_out: Counter[str]) -> Generator[None, None, dict[str, str]]:
    """PagerDuty id -> the one service on the map that it means, as for an alert; of several environments' the one of production.

    Where two ids mean one service, nobody can say to which of them its calls belong.
    """
    meant: dict[str, list[str]] = {}
    for place, number in enumerate(ids):
        text = names.clean(number)
        service = graph.names.find(text) or graph.names.placed(f"{text}@{_PRODUCTION}")
        if service in graph:
            meant.setdefault(service, []).append(number)
        if place % _PAUSE == _PAUSE - 1:
            yield
    left_out["a service with several PagerDuty services"] += sum(len(one) > 1 for one in meant.values())
    return {numbers[0]: service for service, numbers in meant.items() if len(numbers) == 1}


def _sight(caller: str, callee: str, parts: Mapping[Layer, Sighted], confidence: float) -> Sight:
    return Sight(
        caller,
        callee,
        confidence,
        min(part.first_seen for part in parts.values()),
        max(part.last_seen for part in parts.values()),
        min(part.interval for part in parts.values()),
        ",".join(sorted(layer.value for layer in parts)),
    )


def _unfit(sight: Sight, parts: Mapping[Layer, Sighted], background: Collection[str], least: float) -> str:
    """Why an edge is not to be pushed; "" where it is."""
    if sight.caller in background or sight.callee in background:
        return "background"
    if all(part.certainty < 1.0 for part in parts.values()):
        return "only estimated"
    if sight.confidence < least:
        return "not sure enough"
    lasted = sight.last_seen - sight.first_seen
    minutes = 1.0 + lasted / sight.habit
    return "" if lasted >= PERSISTENCE.seconds and minutes >= PERSISTENCE.minutes else "not seen for long enough"
