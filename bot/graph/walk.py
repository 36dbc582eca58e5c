"""Walks over the live map: who is within reach, and by which path. Cycle-safe, bounded, the same answer twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from bot.graph.live import LiveGraph

MAX_REACHED = 50_000
"""No answer lists more services than this; a walk that would is cut and says so."""

MAX_LOOKS = 200_000
"""Edges looked at in search of paths: some ten milliseconds."""

_WIDE_HOP = 500
"""From how many services on a hop may be shorter the other way round."""


Neighbours = Callable[[str], Collection[str]]
"""A service -> the services one call away, in one direction."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything within reach of `start`: service -> hops, nearest first, by name within a hop, the starts left out.

    Paths are found when asked for: a hub has thousands of dependents, and a reader looks at ten. `nearer` gives a service's
    neighbours on the way back.
    """

    start: tuple[str, ...]
    found: Mapping[str, int]
    nearer: Neighbours = field(compare=False)
    truncated: bool = False

    def step(self, service: str) -> str:
        """The neighbour one hop nearer to the start; the first by name where there are several."""
        hops = self.found[service] - 1
        if hops == 0:
            if len(self.start) == 1:
                return self.start[0]
            return min(one for one in self.nearer(service) if one in self.start)
        return min(one for one in self.nearer(service) if self.found.get(one) == hops)

    def path(self, service: str) -> tuple[str, ...]:
        """The way from `service` to a start, both included: a shortest one."""
        steps = [service]
        while steps[-1] in self.found:
            steps.append(self.step(steps[-1]))
        return tuple(steps)


EdgeFilter = Callable[[str, str], bool]
"""Whether a walk may use the edge (caller, callee)."""


def dependents(
    graph: LiveGraph,
    start: Iterable[str],
    depth: int | None = None,
    usable: EdgeFilter | None = None,
    limit: int = MAX_REACHED,
    *,
    hidden: bool = False,
) -> Reach:
    """Transitive callers: who needs `start`. `depth` in hops, None for all; the nearest `limit` at most.

    `hidden` walks over edges below the display threshold and over background services (scrapers, DNS) too.
    """
    callers, callees = neighbours(graph, usable, hidden)
    return _reach(start, _Ground(callers, callees, graph.services, _avoided(graph, hidden)), depth, limit)


def dependencies(
    graph: LiveGraph,
    start: Iterable[str],
    depth: int | None = None,
    usable: EdgeFilter | None = None,
    limit: int = MAX_REACHED,
    *,
    hidden: bool = False,
) -> Reach:
    """Transitive callees: what `start` needs. `depth` in hops, None for all; the nearest `limit` at most.

    `hidden` walks over edges below the display threshold and over background services (scrapers, DNS) too.
    """
    callers, callees = neighbours(graph, usable, hidden)
    return _reach(start, _Ground(callees, callers, graph.services, _avoided(graph, hidden)), depth, limit)


def _avoided(graph: LiveGraph, hidden: bool) -> Collection[str]:
    return frozenset() if hidden else graph.background


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a walk goes over: neighbours `onward` and `nearer` to where it came from, everybody there is, whom it avoids."""

    onward: Neighbours
    nearer: Neighbours
    everybody: Callable[[], Iterable[str]]
    avoided: Collection[str]


def neighbours(graph: LiveGraph, usable: EdgeFilter | None, hidden: bool) -> tuple[Neighbours, Neighbours]:
    """(callers, callees) over the edges a walk may use."""
    everything = hidden or graph.all_shown
    callers: Neighbours = graph.callers if everything else graph.shown_callers
    callees: Neighbours = graph.callees if everything else graph.shown_callees
    if usable is None:
        return callers, callees
    return (
        lambda service: [one for one in callers(service) if usable(one, service)],
        lambda service: [one for one in callees(service) if usable(service, one)],
    )


def _reach(start: Iterable[str], ground: _Ground, depth: int | None, limit: int) -> Reach:
    """Breadth first, a whole hop at a time in set arithmetic, which is several times faster than edge by edge.

    Where a hop sets out from more services than are left to find, those left are asked whether they are next to it
    instead (direction-optimising search: Beamer, Asanović, Patterson, SC 2012): the first neighbour that is answers.
    """
    starts = tuple(dict.fromkeys(start))
    seen = {*starts, *ground.avoided}
    found: dict[str, int] = {}
    frontier: Collection[str] = starts
    left: set[str] | None = None
    hops = 0
    while frontier and (depth is None or hops < depth):
        hops += 1
        if left is None and len(frontier) >= _WIDE_HOP:
            left = set(ground.everybody()) - seen
        if left is None or len(left) > len(frontier):
            reached = set().union(*map(ground.onward, frontier))
            reached = reached - seen if left is None else reached & left
        else:
            last = set(frontier)
            reached = {one for one in left if not last.isdisjoint(ground.nearer(one))}
        if left is None:
            seen |= reached
        else:
            left -= reached
        frontier = sorted(reached)
        if len(found) + len(frontier) > limit:
            found.update(dict.fromkeys(frontier[: limit - len(found)], hops))
            return Reach(starts, found, ground.nearer, truncated=True)
        found.update(dict.fromkeys(frontier, hops))
    return Reach(starts, found, ground.nearer)


def paths(
    graph: LiveGraph,
    caller: str,
    callee: str,
    limit: int = 5,
    max_hops: int = 8,
    usable: EdgeFilter | None = None,
    *,
    hidden: bool = False,
) -> list[tuple[str, ...]]:
    """Up to `limit` call paths from `caller` to `callee`, shortest first, by name among equals; empty where there is none.

    No path passes a service twice. Where the map is so tangled that `MAX_LOOKS` edges do not show `limit` paths, the
    shortest found so far are the answer.
    """
    if caller == callee:
        return [(caller,)]
    found: list[tuple[str, ...]] = []
    callers, callees = neighbours(graph, usable, hidden)
    avoided = set() if hidden else graph.background - {caller, callee}
    way = _Way(callees, callee, {callee: 0})
    frontier = {callee}
    for hops in range(1, max_hops + 1):
        frontier = set().union(*map(callers, frontier)) - way.distance.keys() - avoided
        way.distance.update(dict.fromkeys(frontier, hops))
        if caller in way.distance:
            found.extend(islice(way.onward((caller,), hops), limit - len(found)))
        if len(found) >= limit or way.looks > MAX_LOOKS:
            break
    return found


@dataclass(slots=True)
class _Way:
    """Looks for paths to `callee`, never turning where its `distance` says that it cannot be reached in time."""

    callees: Neighbours
    callee: str
    distance: dict[str, int]
    looks: int = 0

    def onward(self, path: tuple[str, ...], hops: int) -> Iterator[tuple[str, ...]]:
        """All paths that begin with `path` and come to the callee after exactly `hops` more, by name."""
        onward = self.callees(path[-1])
        self.looks += len(onward)
        if self.looks > MAX_LOOKS:
            return
        near = [other for other in onward if self.distance.get(other, hops) < hops and other not in path]
        for other in sorted(near):
            if (other == self.callee) is (hops == 1):
                if hops == 1:
                    yield (*path, other)
                else:
                    yield from self.onward((*path, other), hops - 1)
