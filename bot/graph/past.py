"""The map as it was: reads like the live one (`bot.graph.live`), from when each edge was last seen as of a moment.

Comes in: an index of all edges, and one number for each of them. Goes out: nodes, edges, freshness and confidence as a reader
at that moment would have seen them. What is lost: how often an edge was usually seen then, and its protocols, endpoints and
routes: of these only what is known today is kept. Services are linked when they are first looked at, since an answer looks
at few; a past map never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np

from bot.counts import Floats
from bot.edge_detail import EdgeDetail
from bot.graph.edge_index import LAYERS, EdgeIndex
from bot.graph.shown import HIDDEN, SHOWN, UNDECIDED, marks
from bot.graph.sighting import Sighted, confidence, freshest, reasons, worth_showing
from bot.graph.workload_names import WorkloadNames
from bot.model import PSEUDO, Kind, Layer, Node
from bot.names import Background, NameIndex

_REPORTING_KINDS = frozenset((Kind.SERVICE, Kind.GATEWAY))
_COVERED_SECONDS = 900.0
_BACKGROUND = Background()

Links = dict[str, list[int]]
"""Neighbour -> positions of the edges to it, one for each layer."""


class PastGraph:
    """The merged map as of `moment` (epoch s). `last_seen` says by position when each edge was last seen, 0 for never.

    `nodes` describes services; one it does not name is a service of that name. `span`: the map is of that many seconds up to
    the moment, and what was seen in them is shown.
    """

    def __init__(
        self,
        index: EdgeIndex,
        last_seen: Floats,
        moment: float,
        nodes: Mapping[str, Node],
        aliases: Mapping[str, str],
        hides: Callable[[str], bool] = _BACKGROUND.hides,
        span: float = 0.0,
    ) -> None:
        self.moment = moment
        self._index = index
        self._size = len(last_seen)
        self._last_seen = last_seen
        self._alive = (last_seen > 0).tobytes()
        self._callers: dict[str, Links] = {}
        self._callees: dict[str, Links] = {}
        self._hidden_callers: dict[str, set[str]] = {}
        self._hidden_callees: dict[str, set[str]] = {}
        self._fold_services()
        seen = np.flatnonzero(self._service_seen)
        ids = [index.services[place] for place in seen.tolist()]
        self._nodes: dict[str, Node] = {one: nodes.get(one) or Node(one, name=one) for one in ids if one not in PSEUDO}
        self.names = NameIndex(aliases)
        for node in self._nodes.values():
            self.names.add(node)
        self.background = {service for service in self._nodes if hides(service)}
        self._marks = marks(index, last_seen, moment, span)

    def _fold_services(self) -> None:
        """When each service was last seen: altogether, and as the caller and as the callee of each layer's edges."""
        size = self._size
        callers, callees = (ends[:size] for ends in self._index.ends)
        services = len(self._index.services)
        self._calling = np.zeros((len(LAYERS), services))
        self._serving = np.zeros((len(LAYERS), services))
        layers = self._index.layers[:size]
        np.maximum.at(self._calling, (layers, callers), self._last_seen)
        np.maximum.at(self._serving, (layers, callees), self._last_seen)
        self._service_seen = np.maximum(self._calling.max(axis=0), self._serving.max(axis=0))

    def __contains__(self, service: str) -> bool:
        return service in self._nodes

    @property
    def service_count(self) -> int:
        """Services on the map."""
        return len(self._nodes)

    @cached_property
    def edge_count(self) -> int:
        """Edges on the map."""
        return sum(1 for _ in self.edges())

    def node(self, service: str) -> Node:
        """What is known of a service. Raises KeyError where it is not on the map."""
        return self._nodes[service]

    def services(self) -> Iterator[str]:
        """All service ids."""
        return iter(self._nodes)

    def edges(self) -> Iterator[tuple[str, str, Mapping[Layer, Sighted]]]:
        """All edges with each layer's part."""
        for caller in self._nodes:
            for callee, positions in self.callees(caller).items():
                yield caller, callee, self._parts(positions)

    def callers(self, service: str) -> Links:
        """Direct dependents, the service itself included where it calls itself. Raises KeyError where it is not on the map."""
        found = self._callers.get(service)
        if found is None:
            found = self._link(service, self._index.inward, self._index.callers)
            self._callers[service] = found
        return found

    def callees(self, service: str) -> Links:
        """Direct dependencies, the service itself included where it calls itself. Raises KeyError where it is not on the map."""
        found = self._callees.get(service)
        if found is None:
            found = self._link(service, self._index.outward, self._index.callees)
            self._callees[service] = found
        return found

    def _link(self, service: str, positions: Mapping[str, list[int]], others: list[int]) -> Links:
        if service not in self._nodes:
            raise KeyError(service)
        size, alive, names = self._size, self._alive, self._index.services
        links: Links = {}
        for position in positions.get(service, ()):
            if position < size and alive[position]:
                links.setdefault(names[others[position]], []).append(position)
        return links

    def _parts(self, positions: Iterable[int]) -> dict[Layer, Sighted]:
        index = self._index
        return {LAYERS[index.layers[position]]: self._sighted(position) for position in positions}

    def _sighted(self, position: int) -> Sighted:
        index, last = self._index, float(self._last_seen[position])
        first = min(index.first_seen[position], last)
        return Sighted(first, last, float(index.habits[position]), index.details[position])

    def layers(self, caller: str, callee: str) -> Mapping[Layer, Sighted]:
        """Each layer's part of one edge. Raises KeyError where there is no such edge."""
        return self._parts(self.callees(caller)[callee])

    def entry(self, service: str) -> Sighted | None:
        """When requests from outside were last seen to enter here; None where it is no entry point."""
        return self.entries.get(service)

    @cached_property
    def entries(self) -> Mapping[str, Sighted]:
        """Services where requests come in from outside, and when they last did, by any layer."""
        found = {}
        for service, positions in self._index.entries.items():
            alive = [self._sighted(one) for one in positions if one < self._size and self._alive[one]]
            if alive:
                found[service] = max(alive, key=lambda one: one.last_seen)
        return found

    def confidence(self, caller: str, callee: str, now: float) -> float:
        """0..1 that the edge is real at `now` (see `bot.graph.sighting.confidence`)."""
        parts = self.layers(caller, callee)
        return confidence(parts, self._contradicted(caller, callee, parts), now)

    def reasons(self, caller: str, callee: str, now: float) -> list[str]:
        """Why the confidence is what it is, as short sentences."""
        parts = self.layers(caller, callee)
        return reasons(parts, self._contradicted(caller, callee, parts), now)

    def _contradicted(self, caller: str, callee: str, parts: Mapping[Layer, Sighted]) -> bool:
        """Whether a layer that sees the one call and the other be called has not seen this edge, a mere estimate."""
        if len(parts) != 1:
            return False
        ((layer, part),) = parts.items()
        ends = self._index.place(caller), self._index.place(callee)
        if part.certainty >= 1.0 or ends[0] is None or ends[1] is None:
            return False
        since = max(part.last_seen - _COVERED_SECONDS, 1.0)
        return any(
            other is not layer and self._calling[row, ends[0]] >= since and self._serving[row, ends[1]] >= since
            for row, other in enumerate(LAYERS)
        )

    def detail(self, layer: Layer, caller: str, callee: str) -> EdgeDetail | None:
        """What a layer knows of an edge besides counts; None where that is nothing."""
        part = self.layers(caller, callee).get(layer)
        return None if part is None else part.detail

    def freshness(self, caller: str, callee: str, now: float) -> str:
        """The best any layer says: `fresh`, `fading` or `stale`."""
        return freshest(self.layers(caller, callee).values(), now)

    @cached_property
    def workloads(self) -> WorkloadNames:
        """Who runs on which workload, as it is known today."""
        found = WorkloadNames()
        for position in np.flatnonzero(self._last_seen > 0).tolist():
            detail = self._index.details[position]
            if detail is not None and detail.workloads:
                found.learn(self._index.edge(position), detail.workloads)
        return found

    def last_seen(self, service: str) -> float:
        """When anything was last seen of a service, on any edge in either direction; 0 where never."""
        place = self._index.place(service)
        return 0.0 if place is None or place >= len(self._service_seen) else float(self._service_seen[place])

    def reporters(self, services: Iterable[str], since: float) -> tuple[int, list[tuple[str, float]]]:
        """How many of `services` send telemetry themselves, and those of them not seen since `since`, with when they were."""
        count, silent = 0, []
        for service in services:
            node = self._nodes.get(service)
            if node is not None and node.kind in _REPORTING_KINDS:
                count += 1
                if (seen := self.last_seen(service)) < since:
                    silent.append((service, seen))
        return count, silent

    def shown(self, caller: str, callee: str) -> bool:
        """Whether an edge was above the display threshold at the map's moment."""
        return self._shown(caller, callee, self.callees(caller)[callee])

    @cached_property
    def all_shown(self) -> bool:
        """Whether no edge at all was below the display threshold: lets walks skip the question."""
        drawn = (self._last_seen > 0) & ~self._index.pseudo[: self._size]
        if (self._marks[drawn] == HIDDEN).any():
            return False
        doubtful = np.flatnonzero(drawn & (self._marks == UNDECIDED)).tolist()
        return all(self.shown(*self._index.edge(position)) for position in doubtful)

    def shown_callers(self, service: str) -> Collection[str]:
        """Direct dependents by edges above the display threshold."""
        links = self.callers(service)
        if service not in self._hidden_callers:
            self._hidden_callers[service] = {one for one in links if not self._shown(one, service, links[one])}
        hidden = self._hidden_callers[service]
        return links.keys() - hidden if hidden else links

    def shown_callees(self, service: str) -> Collection[str]:
        """Direct dependencies by edges above the display threshold."""
        links = self.callees(service)
        if service not in self._hidden_callees:
            self._hidden_callees[service] = {one for one in links if not self._shown(service, one, links[one])}
        hidden = self._hidden_callees[service]
        return links.keys() - hidden if hidden else links

    def _shown(self, caller: str, callee: str, positions: list[int]) -> bool:
        mark = self._marks[positions[0]]
        if mark != UNDECIDED:
            return bool(mark == SHOWN)
        return worth_showing(self._parts(positions), self.confidence(caller, callee, self.moment))
