"""Walks over the live map: who is within reach, and by which path. Cycle-safe, bounded, the same answer twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from bot.graph.live import LiveGraph

MAX_REACHED = 50_000
"""No answer lists more services than this; a walk that would is cut and says so."""

MAX_LOOKS = 200_000
"""Edges looked at in search of paths: some ten milliseconds."""


class Reached(NamedTuple):
    """One service a walk came to. `via` is the neighbour it was first reached from, one hop nearer to the start."""

    id: str
    hops: int
    via: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Everything within reach of `start`, nearest first, by name within a hop. The starts themselves are left out."""

    start: tuple[str, ...]
    found: dict[str, Reached]
    truncated: bool = False

    def path(self, service: str) -> tuple[str, ...]:
        """The way from `service` to the start it was reached from, both included."""
        steps = [service]
        while (step := self.found.get(steps[-1])) is not None:
            steps.append(step.via)
        return tuple(steps)


EdgeFilter = Callable[[str, str], bool]
"""Whether a walk may use the edge (caller, callee)."""


def dependents(
    graph: LiveGraph,
    start: Iterable[str],
    depth: int | None = None,
    usable: EdgeFilter | None = None,
    limit: int = MAX_REACHED,
) -> Reach:
    """Transitive callers: who needs `start`. `depth` in hops, None for all; the nearest `limit` at most."""
    if usable is None:
        return _reach(start, graph.callers, depth, limit)
    return _reach(start, lambda service: [one for one in graph.callers(service) if usable(one, service)], depth, limit)


def dependencies(
    graph: LiveGraph,
    start: Iterable[str],
    depth: int | None = None,
    usable: EdgeFilter | None = None,
    limit: int = MAX_REACHED,
) -> Reach:
    """Transitive callees: what `start` needs. `depth` in hops, None for all; the nearest `limit` at most."""
    if usable is None:
        return _reach(start, graph.callees, depth, limit)
    return _reach(start, lambda service: [one for one in graph.callees(service) if usable(service, one)], depth, limit)


def _reach(start: Iterable[str], neighbours: Callable[[str], Iterable[str]], depth: int | None, limit: int) -> Reach:
    """Breadth first, so that each service is reached by a shortest way; among equals the first by name."""
    starts = tuple(dict.fromkeys(start))
    seen = set(starts)
    found: dict[str, Reached] = {}
    frontier: list[str] = sorted(starts)
    hops = 0
    while frontier and (depth is None or hops < depth):
        hops += 1
        reached: dict[str, str] = {}
        for service in frontier:
            if fresh := [other for other in neighbours(service) if other not in seen]:
                seen.update(fresh)
                reached.update(dict.fromkeys(fresh, service))
        frontier = sorted(reached)
        for service in frontier:
            if len(found) >= limit:
                return Reach(starts, found, truncated=True)
            found[service] = Reached(service, hops, reached[service])
    return Reach(starts, found)


def paths(
    graph: LiveGraph, caller: str, callee: str, limit: int = 5, max_hops: int = 8, usable: EdgeFilter | None = None
) -> list[tuple[str, ...]]:
    """Up to `limit` call paths from `caller` to `callee`, shortest first, by name among equals; empty where there is none.

    No path passes a service twice. Where the map is so tangled that `MAX_LOOKS` edges do not show `limit` paths, the
    shortest found so far are the answer.
    """
    if caller == callee:
        return [(caller,)]
    found: list[tuple[str, ...]] = []
    way = _Way(graph, callee, {callee: 0}, usable)
    frontier = {callee}
    for hops in range(1, max_hops + 1):
        frontier = {
            other
            for service in frontier
            for other in graph.callers(service)
            if other not in way.distance and (usable is None or usable(other, service))
        }
        way.distance.update(dict.fromkeys(frontier, hops))
        if caller in way.distance:
            found.extend(islice(way.onward((caller,), hops), limit - len(found)))
        if len(found) >= limit or way.looks > MAX_LOOKS:
            break
    return found


@dataclass(slots=True)
class _Way:
    """Looks for paths to `callee`, never turning where its `distance` says that it cannot be reached in time."""

    graph: LiveGraph
    callee: str
    distance: dict[str, int]
    usable: EdgeFilter | None
    looks: int = 0

    def onward(self, path: tuple[str, ...], hops: int) -> Iterator[tuple[str, ...]]:
        """All paths that begin with `path` and come to the callee after exactly `hops` more, by name."""
        here, onward = path[-1], self.graph.callees(path[-1])
        self.looks += len(onward)
        if self.looks > MAX_LOOKS:
            return
        near = [other for other in onward if self.distance.get(other, hops) < hops and other not in path]
        for other in sorted(near):
            if (other == self.callee) is (hops == 1) and (self.usable is None or self.usable(here, other)):
                if hops == 1:
                    yield (*path, other)
                else:
                    yield from self.onward((*path, other), hops - 1)
