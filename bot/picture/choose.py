"""Reads the focus graph of one service off a map, live or past: who is drawn, in which state, and which calls between them.

Comes in: a `MapView`, the service, and what was thought out about its trouble. Goes out: a `Focus` of at most `MAX_NODES` services and
stubs. What is lost: services beyond `FARTHEST` hops (unless a likely cause is there), callers or callees beyond `MOST`, calls
beyond `MAX_ARROWS`; all of them are counted in the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from bot.enrich.answers import Query, usable_edges
from bot.enrich.blast import blast_radius
from bot.enrich.causes.ranking import Verdict
from bot.enrich.health import Rates, failing_services, service_rates
from bot.enrich.recent_changes import changed_edges
from bot.enrich.view import MapView
from bot.graph.walk import EdgeFilter, Reach, dependencies
from bot.model import EdgeKey
from bot.picture.focus import MAX_ARROWS, Arrow, Focus, Spot, State
from bot.picture.folding import Around, Drawn, divide
from bot.picture.labels import short_names

FARTHEST = 3
MOST = 10_000
"""Callers, or callees, that are counted: some tens of milliseconds."""

_SUSPECTS, _SUSPECT_FROM = 3, 0.1
_TO_SUSPECTS = 300
_WHY = {"alert": "alert", "errors": "errors", "latency": "slow", "failing calls": "failing calls"}


def suspects_of(found: Verdict, service: str) -> tuple[tuple[str, float], ...]:
    """The likely causes worth a picture's room, likeliest first; nobody where none is likely enough to be named."""
    if found.named is None:
        return ()
    return worth_room((one.service, one.p) for one in found.candidates)


def worth_room(ranked: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """Of causes with their probabilities, likeliest first, those that are drawn as such: nobody is suspected with 0 %."""
    return tuple((service, p) for service, p in islice(ranked, _SUSPECTS) if p >= _SUSPECT_FROM)


def in_trouble(view: MapView, service: str, now: float) -> bool:
    """Whether a likely cause is worth looking for."""
    return service in failing_services(view, now, view.firing.get(service))


@dataclass(frozen=True, slots=True)
class Wish:
    """Which picture is wanted: `direction` is `callers`, `callees` or `both`; `supposed`: as if the service failed, to see whom that
    would hit."""

    direction: str = "both"
    supposed: bool = False


def choose(
    view: MapView,
    service: str,
    now: float,
    query: Query | None = None,
    suspects: Sequence[tuple[str, float]] = (),
    wish: Wish | None = None,
) -> Focus:
    """The picture of `service` (an id on the map) at `now`. `query` limits hops and layers; `suspects` are likely causes with
    their p, likeliest first, of which the first is named."""
    known = [one for one in suspects if one[0] in view.graph]
    return _Chooser(view, service, now, query or Query(), known, wish or Wish()).focus()


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What is wrong: whose alert or numbers say so, who is hit, and the likely causes with their p."""

    failing: Mapping[str, str]
    hit: Mapping[str, str]
    causes: Mapping[str, float]


class _Chooser:
    def __init__(
        self, view: MapView, service: str, now: float, query: Query, suspects: Sequence[tuple[str, float]], wish: Wish
    ) -> None:
        self._view, self._service, self._now, self._query, self._wish = view, service, now, query, wish
        self._usable: EdgeFilter | None = usable_edges(view, now, query)
        depth, every = query.depth or FARTHEST, query.reaches_hidden
        radius = blast_radius(view, [service], now, depth, self._usable, MOST, hidden=every)
        self._radius = radius
        self._below = dependencies(view.graph, [service], depth, self._usable, MOST, hidden=every)
        self._suspects = suspects
        failing = failing_services(view, now, view.firing.get(service))
        self._trouble = _Trouble(failing, radius.why, dict(suspects))
        near = [service, *(one for one, _ in suspects)]
        self._changed = {edge: how for edge, how in changed_edges(view, near, now).items() if self._wanted(edge)}

    def focus(self) -> Focus:
        """The whole picture."""
        view = self._view
        nobody = (), Reach((self._service,), {}, view.graph.callers)
        above = nobody if self._wish.direction == "callees" else (self._radius.ranked, self._radius.reach)
        below = nobody if self._wish.direction == "callers" else (self._ordered(self._below), self._below)
        hit, failing = self._trouble.hit, self._trouble.failing
        drawn, stubs = divide(view, Around(self._service, list(self._ways()), above, below, hit, failing))
        self._take_gone(drawn)
        way = self._way(drawn)
        arrows = sorted(self._arrows(drawn.columns, way), key=lambda one: self._weight(one, drawn.columns))
        first = self._suspects[0] if self._suspects else None
        names = short_names([view.graph.node(one) for one in drawn.columns], view.graph.node(self._service))
        return Focus(
            service=self._service,
            as_of=self._now,
            spots=tuple(self._spot(one, column, names[one]) for one, column in _in_order(drawn)),
            arrows=tuple(sorted(arrows[:MAX_ARROWS], key=lambda one: (one.caller, one.callee))),
            stubs=tuple(stubs),
            cause=first if first is not None and first[0] in drawn.columns else None,
            hit=len(self._radius.hit),
            at_risk=len(self._radius.at_risk),
            more=self._radius.truncated or self._below.truncated,
            arrows_left_out=max(0, len(arrows) - MAX_ARROWS),
        )

    # -- who ----------------------------------------------------------------------------------------------------------------

    def _ways(self) -> Iterator[tuple[str, Reach]]:
        """The likely causes, each with the walk that leads to it; those that no walk finds have no place in the picture."""
        deep: Reach | None = None
        for suspect, _ in self._suspects:
            if suspect in self._below.found:
                yield suspect, self._below
                continue
            if deep is None:
                deep = dependencies(self._view.graph, [self._service], None, self._usable, _TO_SUSPECTS)
            if suspect in deep.found:
                yield suspect, deep
            elif suspect in self._radius.reach.found:
                yield suspect, self._radius.reach

    def _ordered(self, reach: Reach) -> Sequence[str]:
        """Callees: failing ones first, then those whose calls are new, then the nearest."""
        failing = self._trouble.failing
        changed = {end for edge in self._changed for end in edge}
        marked = sorted(one for one in reach.found if one in failing or one in changed)
        marked.sort(key=lambda one: (one not in failing, reach.found[one]))
        return [*marked, *(one for one in reach.found if one not in failing and one not in changed)]

    def _take_gone(self, drawn: Drawn) -> None:
        """Calls that are gone lead to nobody within reach: whom they led to is drawn as long as there is room."""
        for (caller, callee), how in sorted(self._changed.items()):
            if how == "gone" and drawn.room > 0 and (caller in drawn.columns) is not (callee in drawn.columns):
                known, other, step = (caller, callee, 1) if caller in drawn.columns else (callee, caller, -1)
                drawn.put(other, drawn.columns[known] + step)
                drawn.room -= 1

    def _spot(self, service: str, column: int, name: str) -> Spot:
        view, state = self._view, self._state(service)
        return Spot(
            service, name, state, column, view.graph.node(service).kind, view.is_entry_point(service),
            tuple(self._notes(service, state)),
        )  # fmt: skip

    def _state(self, service: str) -> State:
        trouble, reach = self._trouble, self._radius.reach
        broken = self._service in trouble.failing or bool(trouble.causes)
        if service == self._service:
            return State.FAILING if broken else State.FOCUS
        broken |= self._wish.supposed
        if service in trouble.causes:
            return State.CAUSE if service == next(iter(trouble.causes)) else State.SUSPECTED
        if service in reach.found and broken:
            return State.HIT if service in trouble.hit else State.AT_RISK
        return State.FAILING if service in trouble.failing else State.OTHER

    def _notes(self, service: str, state: State) -> Iterator[str]:
        trouble = self._trouble
        if service == self._service:
            rates = service_rates(self._view, service, self._now, self._view.firing.get(service))
            yield from _numbers(rates, trouble.failing.get(service, ""))
        if service in trouble.causes and service != self._service:
            yield f"{'suspected' if state is State.SUSPECTED else 'likely cause'} {trouble.causes[service]:.0%}"
        elif state in (State.HIT, State.FAILING) and service != self._service:
            why = trouble.hit.get(service) or trouble.failing.get(service, "")
            yield f"{'hit' if state is State.HIT else 'failing'}: {_WHY.get(why, why)}"

    # -- which calls ----------------------------------------------------------------------------------------------------------

    def _wanted(self, edge: EdgeKey) -> bool:
        return self._usable is None or self._usable(*edge)

    def _way(self, drawn: Drawn) -> Collection[EdgeKey]:
        """The calls between the service and the cause that is named."""
        for suspect, reach in self._ways():
            if suspect == self._suspects[0][0] and suspect in drawn.columns:
                path = reach.path(suspect)
                # A walk leads back to its start: along the calls from a caller, against them from a callee.
                return set(pairwise(path if reach is self._radius.reach else path[::-1]))
        return ()

    def _arrows(self, drawn: Mapping[str, int], way: Collection[EdgeKey]) -> Iterator[Arrow]:
        graph, every = self._view.graph, self._query.reaches_hidden
        for caller in drawn:
            callees = graph.callees(caller)
            for callee in drawn:
                edge = caller, callee
                if callee not in callees or (caller == callee and not every):
                    continue
                change = self._changed.get(edge, "")
                if self._wanted(edge) and (every or change or graph.shown(*edge)):
                    yield self._arrow(edge, change, edge in way)

    def _arrow(self, edge: EdgeKey, change: str, suspect: bool) -> Arrow:
        graph = self._view.graph
        layers = graph.layers(*edge)
        via = {chain for layer in layers if (detail := graph.detail(layer, *edge)) is not None for chain in detail.via}
        return Arrow(
            *edge, frozenset(layers), round(graph.confidence(*edge, self._now), 2), tuple(sorted(via)), change, suspect
        )

    def _weight(self, arrow: Arrow, drawn: Mapping[str, int]) -> tuple[bool, bool, bool, bool, float, str, str]:
        """What is drawn first where there are too many: the suspected way, changes, calls one column on, the surest."""
        touches = self._service in (arrow.caller, arrow.callee)
        onward = drawn[arrow.callee] - drawn[arrow.caller] == 1
        return (
            not arrow.suspect,
            not arrow.change,
            not touches,
            not onward,
            -arrow.confidence,
            arrow.caller,
            arrow.callee,
        )


def _in_order(drawn: Drawn) -> list[tuple[str, int]]:
    return sorted(drawn.columns.items(), key=lambda one: (one[1], one[0]))


def _numbers(rates: Rates, failing: str) -> Iterator[str]:
    """What shows that a service is failing, with what is usual."""
    if rates.failing == "errors" or (failing and rates.error_rate >= 0.01):
        yield f"{rates.error_rate:.0%} of calls fail"
        if rates.usual_error_rate is not None:
            yield f"was {100 * rates.usual_error_rate:.2g}%"
    elif rates.failing == "latency":
        yield f"p95 {rates.p95_ms:,.0f} ms"
        yield f"was {rates.usual_p95_ms:,.0f} ms"
    elif failing == "alert":
        yield "an alert fires"
