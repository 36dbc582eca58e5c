"""The live map: the union of all layers' edges, each layer's own part kept beside the others', updated by deltas.

Comes in: which edges a layer saw in which minute. Goes out: nodes, edges, freshness and confidence at any `now`. What is
lost: services and edges beyond the caps (refused and counted), edges unseen for longer than the retention (dropped).
Held in memory by every replica and never rebuilt on a request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import networkx as nx

from bot.edge_detail import EdgeDetail
from bot.graph.faded import Faded
from bot.graph.reporters import Reporters
from bot.graph.sighting import Sighted, confidence, freshest, note, reasons, worth_showing
from bot.graph.workload_names import WorkloadNames
from bot.model import ENTRY, PSEUDO, WINDOW_SECONDS, EdgeKey, Layer, Node, Tally
from bot.names import Background, NameIndex

_SWEEP_PAUSE = 1_000
_COVERED_SECONDS = 900.0
"""A service has to be seen by a layer this recently, as caller or callee, for the layer's silence on an edge to mean anything."""


class LiveGraph:
    """The merged map. Not thread-safe: one thread (the event loop's) reads and writes it."""

    def __init__(
        self,
        names: NameIndex,
        max_services: int = 100_000,
        max_edges: int = 1_000_000,
        background: Background | None = None,
    ) -> None:
        self.names = names
        self.background: set[str] = set()
        """Services hidden unless asked for: scrapers, DNS, control planes."""
        self.workloads = WorkloadNames()
        self.dropped: Counter[str] = Counter()
        self._max_services = max_services
        self._max_edges = max_edges
        self._graph: nx.DiGraph[str] = nx.DiGraph()
        self._edges = 0  # the library counts them anew, in time linear in services, at every question
        # The adjacency dictionaries themselves: the library's views over them cost more than the walk.
        self._pred: dict[str, dict[str, dict[str, Any]]] = self._graph._pred  # type: ignore[attr-defined]
        self._succ: dict[str, dict[str, dict[str, Any]]] = self._graph._succ  # type: ignore[attr-defined]
        self._node: dict[str, dict[str, Any]] = self._graph._node  # type: ignore[attr-defined]
        self._entries: dict[str, Sighted] = {}
        self._hides = (background or Background()).hides
        self._faded = Faded()
        self._reporters = Reporters(self.last_seen)

    def __contains__(self, service: str) -> bool:
        return service in self._graph

    @property
    def service_count(self) -> int:
        """Services on the map."""
        return int(self._graph.number_of_nodes())

    @property
    def edge_count(self) -> int:
        """Edges on the map."""
        return self._edges

    # -- taking in ---------------------------------------------------------------------------------------------------

    def add_node(self, node: Node) -> bool:
        """Put a service on the map or learn more about it; False where the cap refuses it."""
        known = self._graph.nodes.get(node.id)
        if known is not None:
            if known["node"].kind is not node.kind:
                known["node"] = known["node"].merged(node)
                self.names.add(known["node"])
                self._reporters.sort(known["node"])
            return True
        if self._graph.number_of_nodes() >= self._max_services:
            self.dropped["service cap"] += 1
            return False
        self._graph.add_node(node.id, node=node, last_seen=0.0, calls={}, serves={})
        self._reporters.sort(node)
        if self._hides(node.id):
            self.background.add(node.id)
        self.names.add(node)
        return True

    def see(self, layer: Layer, minute: int, counts: Iterable[tuple[EdgeKey, Tally]], now: float) -> None:
        """Take in the edges one layer saw in one minute. Edges to services the cap refused are dropped and counted."""
        for (caller, callee), tally in counts:
            if tally.calls <= 0 or callee not in self._graph:
                continue
            seen = min(now, float(minute + WINDOW_SECONDS))
            self._touch(callee, seen, "serves", layer)
            if caller == ENTRY:
                note(self._entries, callee, minute, now, tally)
            elif caller not in PSEUDO:
                self._touch(caller, seen, "calls", layer)
                if (parts := self._parts(caller, callee)) is not None:
                    note(parts, layer, minute, now, tally)
                    if (caller, callee) in self._faded:
                        self._judge(caller, callee, now)

    def describe(self, layer: Layer, details: Iterable[tuple[EdgeKey, EdgeDetail]], now: float) -> list[EdgeKey]:
        """Take in what a layer knows of edges besides counts; says of which that was news. Edges that are not on the map are
        passed over."""
        told = []
        for (caller, callee), detail in details:
            data = self._graph.get_edge_data(caller, callee)
            if data is None or (part := data["layers"].get(layer)) is None:
                continue
            if part.detail is None:
                part.detail = EdgeDetail()
            if part.detail.add(detail):
                self.workloads.learn((caller, callee), detail.workloads)
                self._judge(caller, callee, now)
                told.append((caller, callee))
        return told

    def _judge(self, caller: str, callee: str, now: float) -> None:
        """Show an edge or hide it, by its confidence now."""
        sure = self.confidence(caller, callee, now)
        judge = self._faded.discard if worth_showing(self.layers(caller, callee), sure) else self._faded.add
        judge(caller, callee)

    def _touch(self, service: str, seen: float, role: str = "", layer: Layer | None = None) -> None:
        data = self._graph.nodes.get(service)
        if data is not None:
            data["last_seen"] = max(data["last_seen"], seen)
            if layer is not None:
                data[role][layer] = max(data[role].get(layer, 0.0), seen)

    def restore(self, layer: Layer, edge: EdgeKey, sighted: Sighted) -> None:
        """Put a stored edge back on the map (loading at start)."""
        caller, callee = edge
        if callee not in self._graph:  # refused by the cap
            return
        self._touch(callee, sighted.last_seen, "serves", layer)
        if caller == ENTRY:
            self._entries[callee] = sighted
        elif caller not in PSEUDO:
            self._touch(caller, sighted.last_seen, "calls", layer)
            if (parts := self._parts(caller, callee)) is not None:
                parts[layer] = sighted
                if sighted.detail is not None:
                    self.workloads.learn(edge, sighted.detail.workloads)

    def _parts(self, caller: str, callee: str) -> dict[Layer, Sighted] | None:
        data = self._graph.get_edge_data(caller, callee)
        if data is not None:
            return data["layers"]  # type: ignore[no-any-return]
        if caller not in self._graph or callee not in self._graph:
            return None
        if self._edges >= self._max_edges:
            self.dropped["edge cap"] += 1
            return None
        parts: dict[Layer, Sighted] = {}
        self._graph.add_edge(caller, callee, layers=parts)
        self._edges += 1
        return parts

    def retract(self, layer: Layer, edge: EdgeKey, since: float = 0.0) -> bool:
        """Take back a layer's edge, or an entry, that a correction brought to nothing; says whether it was taken back.

        Only what was first seen after `since` can have been a mistake altogether: for an older edge, no count in memory
        only means that nothing was counted lately.
        """
        if edge[0] == ENTRY:
            seen = self._entries.get(edge[1])
            return seen is not None and seen.first_seen >= since and self._entries.pop(edge[1]) is seen
        if not self._graph.has_edge(*edge):
            return False
        parts = self._graph.edges[edge]["layers"]
        if layer not in parts or parts[layer].first_seen < since:
            return False
        del parts[layer]
        if not parts:
            self._graph.remove_edge(*edge)
            self._edges -= 1
            self._faded.discard(*edge)
        return True

    def sweep(self, now: float, before: float) -> Iterator[int]:
        """Drop edges nobody saw since `before`, then services left without any, and find which edges have faded below the
        display threshold. Linear in edges, so it pauses every thousand or so: each yield gives how many edges went."""
        for service in [one for one, seen in self._entries.items() if seen.last_seen < before]:
            del self._entries[service]
        looked = 0
        gone = 0
        for caller in list(self._succ):
            for callee, data in list(self._succ.get(caller, {}).items()):
                parts = data["layers"]
                if all(part.last_seen < before for part in parts.values()):
                    self._drop(caller, callee)
                    self._forget_lonely(callee, before)
                    gone += 1
                else:
                    self._judge(caller, callee, now)
            looked += 1 + len(self._succ.get(caller, ()))
            self._forget_lonely(caller, before)
            if looked > _SWEEP_PAUSE:
                yield gone
                looked = gone = 0
        yield gone

    def _drop(self, caller: str, callee: str) -> None:
        self._graph.remove_edge(caller, callee)
        self._edges -= 1
        self._faded.discard(caller, callee)
        self.dropped["expired edge"] += 1

    def _forget_lonely(self, service: str, before: float) -> None:
        """Take a service off the map that has no edge left, that nobody enters and nobody was seen to call."""
        if (
            service in self._graph
            and not self._succ[service]
            and not self._pred[service]
            and service not in self._entries
            and self.last_seen(service) < before
        ):
            self.names.discard(service)
            self.workloads.discard(service)
            self.background.discard(service)
            self._reporters.discard(service)
            self._graph.remove_node(service)

    @property
    def networkx(self) -> nx.DiGraph[str]:
        """The graph itself, for the library's own algorithms. Read only."""
        return self._graph

    # -- reading -----------------------------------------------------------------------------------------------------

    def node(self, service: str) -> Node:
        """What is known of a service. Raises KeyError where it is not on the map."""
        return self._node[service]["node"]  # type: ignore[no-any-return]

    def services(self) -> Iterator[str]:
        """All service ids, in order of arrival."""
        return iter(self._graph)

    def edges(self) -> Iterator[tuple[str, str, Mapping[Layer, Sighted]]]:
        """All edges with each layer's part."""
        return iter(self._graph.edges(data="layers"))

    def callers(self, service: str) -> Mapping[str, object]:
        """Direct dependents, the service itself included where it calls itself."""
        return self._pred[service]

    def callees(self, service: str) -> Mapping[str, object]:
        """Direct dependencies, the service itself included where it calls itself."""
        return self._succ[service]

    def layers(self, caller: str, callee: str) -> Mapping[Layer, Sighted]:
        """Each layer's part of one edge. Raises KeyError where there is no such edge."""
        return self._succ[caller][callee]["layers"]  # type: ignore[no-any-return]

    def entry(self, service: str) -> Sighted | None:
        """When requests from outside were last seen to enter here; None where it is no entry point."""
        return self._entries.get(service)

    def confidence(self, caller: str, callee: str, now: float) -> float:
        """0..1 that the edge is real now (see `bot.graph.sighting.confidence`)."""
        parts = self.layers(caller, callee)
        return confidence(parts, self._contradicted(caller, callee, parts), now)

    def reasons(self, caller: str, callee: str, now: float) -> list[str]:
        """Why the confidence is what it is, as short sentences."""
        parts = self.layers(caller, callee)
        return reasons(parts, self._contradicted(caller, callee, parts), now)

    def _contradicted(self, caller: str, callee: str, parts: Mapping[Layer, Sighted]) -> bool:
        """Whether a layer that sees the one call and the other be called has never seen this edge, a mere estimate."""
        if len(parts) != 1:
            return False
        ((layer, part),) = parts.items()
        if part.detail is None or part.detail.certainty >= 1.0:
            return False
        calls, serves = self._node[caller]["calls"], self._node[callee]["serves"]
        since = part.last_seen - _COVERED_SECONDS
        return any(
            other is not layer and at >= since and serves.get(other, 0.0) >= since for other, at in calls.items()
        )

    def detail(self, layer: Layer, caller: str, callee: str) -> EdgeDetail | None:
        """What a layer knows of an edge besides counts; None where that is nothing."""
        part = self.layers(caller, callee).get(layer)
        return None if part is None else part.detail

    def freshness(self, caller: str, callee: str, now: float) -> str:
        """The best any layer says: `fresh`, `fading` or `stale`."""
        return freshest(self.layers(caller, callee).values(), now)

    def last_seen(self, service: str) -> float:
        """When anything was last seen of a service, on any edge in either direction; 0 where never."""
        return float(self._node[service]["last_seen"])

    def reporters(self, services: Iterable[str], since: float) -> tuple[int, list[tuple[str, float]]]:
        """How many of `services` send telemetry themselves (a database, or a host somewhere else, is only ever seen by its
        callers), and those of them not seen since `since`, with when they were. Asked about thousands at a time."""
        return self._reporters.among(services, since)

    @property
    def entries(self) -> Mapping[str, Sighted]:
        """Services where requests come in from outside, and when they did."""
        return self._entries

    def shown(self, caller: str, callee: str) -> bool:
        """Whether an edge is above the display threshold, as of when it was last seen, described or swept."""
        return (caller, callee) not in self._faded

    @property
    def all_shown(self) -> bool:
        """Whether no edge at all is below the display threshold: lets walks skip the question."""
        return not self._faded

    def shown_callers(self, service: str) -> Collection[str]:
        """Direct dependents by edges above the display threshold."""
        return self._faded.shown_callers(service, self._pred[service])

    def shown_callees(self, service: str) -> Collection[str]:
        """Direct dependencies by edges above the display threshold."""
        return self._faded.shown_callees(service, self._succ[service])
