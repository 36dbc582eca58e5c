"""The map one level down: which workloads of two services call each other, and walks along them. Pure.

Comes in: a map, live or past. Goes out: pairs of workloads by edge, and places: a service on one of its workloads, or on any of
them where nobody knows which. What is lost: pairs unseen for a day while their edge was not; services beyond the caps of a walk.

A workload that nobody knows may be any: the walk goes through it. A workload that is known is not another one: whoever only
calls `payments-v2` is no dependent of `payments-v1`. One source may name the cluster and another not; both mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from bot.edge_detail import OTHER, OTHER_PAIR, WorkloadPair
from bot.errors import Ambiguous, NotFound
from bot.graph.live import LiveGraph
from bot.graph.walk import EdgeFilter, neighbours
from bot.graph.workload_names import Place
from bot.model import EdgeKey, Layer
from bot.names import MAX_SEEN, bare, clean

REMEMBERED_SECONDS = 86_400.0
MAX_PLACES = 20_000
MAX_EDGES = 30_000
"""A walk lists no more places and looks at no more edges: some tenths of a second, in which nothing else is answered."""

Counts = tuple[float, int]
"""(calls since the pair was first seen, start of the last window it was seen in, epoch s)"""

_NONE: Mapping[WorkloadPair, Mapping[Layer, Counts]] = {}


def pairs(
    graph: LiveGraph, caller: str, callee: str, layers: Collection[Layer] = ()
) -> Mapping[WorkloadPair, Mapping[Layer, Counts]]:
    """The pairs of workloads that call each other on an edge, by layer; empty where no layer knows any. A pair of which one
    end is not known is left out where another pair has that end and says more."""
    found: dict[WorkloadPair, dict[Layer, Counts]] = {}
    for layer, part in graph.layers(caller, callee).items():
        if part.detail is None or not part.detail.workloads or (layers and layer not in layers):
            continue
        since = part.last_seen - REMEMBERED_SECONDS
        for pair, (calls, last) in part.detail.workloads.items():
            if calls > 0 and last >= since:
                found.setdefault(pair, {})[layer] = (calls, last)
    if not found:
        return _NONE
    found = _under_one_cluster(found)
    whole = [pair for pair in found if all(pair)]
    callers, callees = {pair[0] for pair in whole}, {pair[1] for pair in whole}
    return {
        pair: counts
        for pair, counts in found.items()
        if all(pair) or not (pair[0] in callers if pair[0] else pair[1] in callees)
    }


def _under_one_cluster(found: dict[WorkloadPair, dict[Layer, Counts]]) -> dict[WorkloadPair, dict[Layer, Counts]]:
    """Pairs that differ only in that one source does not name the cluster, as one. Where two clusters have a workload of that
    name, nobody can say which was meant."""
    full: dict[str, set[str]] = {}
    for name in {name for pair in found for name in pair}:
        if "@" in name:
            full.setdefault(bare(name), set()).add(name)
    if not full:
        return found

    def whole(name: str) -> str:
        known = full.get(name, ())
        return next(iter(known)) if len(known) == 1 else name

    joined: dict[WorkloadPair, dict[Layer, Counts]] = {}
    for (caller, callee), counts in found.items():
        into = joined.setdefault((whole(caller), whole(callee)), {})
        for layer, (calls, last) in counts.items():
            before, seen = into.get(layer, (0.0, 0))
            into[layer] = (before + calls, max(seen, last))
    return joined


def same(one: str, other: str) -> bool:
    """Whether two names may be one workload: one of them may not know the cluster, or nothing at all."""
    if one == other or not one or not other:
        return True
    return ("@" in one) != ("@" in other) and bare(one) == bare(other)


def far_ends(graph: LiveGraph, edge: EdgeKey, workload: str, near: int, layers: Collection[Layer] = ()) -> set[str]:
    """The workloads at the other end of an edge that call, or are called by, `workload` at the end `near` (0 the caller's, 1 the
    callee's); "" among them where nobody knows."""
    if _one_word(found := _ends_told(graph, edge, workload, near, layers)):
        return found
    known = pairs(graph, *edge, layers)
    if not known:
        return {""}
    found = {pair[1 - near] for pair in known if pair != OTHER_PAIR and same(pair[near], workload)}
    return found or ({""} if OTHER_PAIR in known else set())


def _ends_told(graph: LiveGraph, edge: EdgeKey, workload: str, near: int, layers: Collection[Layer]) -> set[str]:
    """What the layers say, as it is: a walk asks this of every edge, and hardly any needs more."""
    found: set[str] = set()
    for layer, part in graph.layers(*edge).items():
        if part.detail is None or not part.detail.workloads or (layers and layer not in layers):
            continue
        since = part.last_seen - REMEMBERED_SECONDS
        for pair, (calls, last) in part.detail.workloads.items():
            mine = pair[near]
            if (mine == workload or same(mine, workload)) and calls > 0 and last >= since:
                found.add(pair[1 - near])
    return found


def _one_word(ends: Collection[str]) -> bool:
    """Whether there are ends, all known, and none of them another's without its cluster."""
    if not ends or "" in ends or OTHER in ends:
        return False
    return len(ends) == 1 or len({"@" in end for end in ends}) == 1


@dataclass(frozen=True, slots=True)
class WorkloadReach:
    """Every place within reach -> hops, nearest first; `nearer` has the next place on a shortest way back, None for a start."""

    found: Mapping[Place, int]
    nearer: Mapping[Place, Place | None]
    truncated: bool = False

    def path(self, place: Place) -> tuple[Place, ...]:
        """The way from a place to a start, both included."""
        steps = [place]
        while (after := self.nearer[steps[-1]]) is not None:
            steps.append(after)
        return tuple(steps)


def reach(
    graph: LiveGraph,
    start: Iterable[Place],
    *,
    inward: bool,
    depth: int | None = None,
    usable: EdgeFilter | None = None,
    layers: Collection[Layer] = (),
    hidden: bool = False,
) -> WorkloadReach:
    """Who needs `start` (`inward`), or what it needs, workload by workload. `depth` in hops, None for all."""
    callers, callees = neighbours(graph, usable, hidden)
    onward: Callable[[str], Collection[str]] = callers if inward else callees
    avoided: Collection[str] = () if hidden else graph.background
    nearer: dict[Place, Place | None] = dict.fromkeys(start)
    found: dict[Place, int] = {}
    frontier, hops, looks = sorted(nearer), 0, 0
    while frontier and (depth is None or hops < depth):
        hops += 1
        reached: dict[Place, Place] = {}
        for place in frontier:
            service, workload = place
            for other in onward(service):
                looks += 1
                if other in avoided or (other == service and not hidden) or (other, "") in nearer:
                    continue
                edge = (other, service) if inward else (service, other)
                for far in far_ends(graph, edge, workload, int(inward), layers):
                    if (other, far) not in nearer:
                        reached.setdefault((other, far), place)
            if looks > MAX_EDGES or len(found) + len(reached) > MAX_PLACES:
                return WorkloadReach(_with(found, reached, hops), nearer | reached, truncated=True)
        frontier = sorted(reached)
        found = _with(found, reached, hops)
        nearer |= reached
    return WorkloadReach(found, nearer)


def _with(found: dict[Place, int], reached: Mapping[Place, Place], hops: int) -> dict[Place, int]:
    found.update(dict.fromkeys(sorted(reached), hops))
    return found


def find(graph: LiveGraph, text: str) -> Place:
    """The place a text names: a service (any of its workloads), a workload by its name, or `service/workload`.

    Raises NotFound with suggestions, Ambiguous where several workloads answer to the name.
    """
    try:
        return graph.names.resolve(text), ""
    except Ambiguous:
        raise
    except NotFound as error:
        name, _, workload = text.rpartition("/")
        service = graph.names.find(name) if name else None
        wanted = clean((workload if service else text)[:MAX_SEEN])
        named = {one for one, _ in graph.workloads.find(wanted)} if service is None else {service}
        places = [(one, name) for one in sorted(named) for name in of_service(graph, one) if _answers(name, wanted)]
        if len(places) == 1:
            return places[0]
        if not places:
            raise error from None
        spelled = tuple(f"{one[0]}/{one[1]}" for one in places[:10])
        raise Ambiguous(f"{len(places)} workloads are called {wanted[:80]!r}: say which one.", spelled) from None


def of_service(graph: LiveGraph, service: str) -> list[str]:
    """The workloads known of a service."""
    inward = [pair[1] for one in graph.callers(service) for pair in pairs(graph, one, service) if pair != OTHER_PAIR]
    outward = [pair[0] for one in graph.callees(service) for pair in pairs(graph, service, one) if pair != OTHER_PAIR]
    found = {workload for workload in (*inward, *outward) if workload}
    clustered = {bare(workload) for workload in found if "@" in workload}
    return sorted(workload for workload in found if "@" in workload or workload not in clustered)


def _answers(workload: str, wanted: str) -> bool:
    return wanted in (workload, bare(workload), bare(workload).partition(".")[0])
