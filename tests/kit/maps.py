"""Builds maps for tests, the way the ingest side does: nodes, then windows, then the live graph."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from bot.catalog.entries import EMPTY, Catalog
from bot.edge_detail import EdgeDetail
from bot.enrich.view import MapView
from bot.graph.live import LiveGraph
from bot.layers.windows import Windows, minute_of
from bot.model import PSEUDO, EdgeKey, Kind, Layer, Node, Tally
from bot.names import NameIndex

NOW = 1_700_000_070.0
"""Ten seconds into a minute, so that a minute and the moment are never mistaken for each other."""


def minute(ago: int = 0, now: float = NOW) -> int:
    """Start of the window that many minutes ago."""
    return minute_of(now) - 60 * ago


def tally(calls: float = 1.0, failed: float = 0.0, bucket: int | None = 4) -> Tally:
    """Counts of one edge and minute. `bucket` is the latency histogram's (4: 4 to 8 ms); None: not timed."""
    made = Tally()
    made.calls, made.errors, made.sampled = calls, failed, round(calls)
    if bucket is not None:
        made.histogram[bucket] = calls
    return made


def edge(text: str) -> EdgeKey:
    """`web>payments` as an edge."""
    caller, _, callee = text.partition(">")
    return caller, callee


def chain(text: str) -> list[EdgeKey]:
    """`web>checkout>payments` as edges, one after the other."""
    services = text.split(">")
    return list(pairwise(services))


class MapMaker:
    """A map that grows by sightings. Services are plain ids; `kinds` says which of them are something else than services."""

    def __init__(self, *chains: str, catalog: Catalog = EMPTY, kinds: dict[str, Kind] | None = None) -> None:
        self.graph = LiveGraph(NameIndex(catalog.aliases))
        self.windows = {layer: Windows(layer) for layer in (Layer.IPC, Layer.TRACE)}
        self.view = MapView(self.graph, self.windows, catalog)
        self._kinds = kinds or {}
        for one in chains:
            self.calls(one)

    def calls(
        self,
        *chains: str,
        count: float = 10.0,
        failed: float = 0.0,
        bucket: int | None = 4,
        ago: int | Iterable[int] = 0,
        layer: Layer = Layer.TRACE,
    ) -> MapMaker:
        """`count` calls on every edge of every chain (`web>checkout>payments`), in the minute(s) that long `ago`."""
        counts = [(one, tally(count, failed, bucket)) for text in chains for one in chain(text)]
        for service in dict.fromkeys(service for one, _ in counts for service in one if service not in PSEUDO):
            self.graph.add_node(self._node(service))
        for minutes in sorted([ago] if isinstance(ago, int) else ago, reverse=True):
            now = NOW - 60 * minutes
            if layer in self.windows:
                self.windows[layer].add(minute(minutes), counts, NOW)
            self.graph.see(layer, minute(minutes), counts, now)
            self.view.heard[layer] = max(self.view.heard.get(layer, 0.0), now)
        return self

    def usually(self, *chains: str, count: float = 10.0, failed: float = 0.0, bucket: int | None = 4) -> MapMaker:
        """The same in every minute from half an hour to ten minutes ago: what is then usual."""
        return self.calls(*chains, count=count, failed=failed, bucket=bucket, ago=range(10, 31))

    def on(self, text: str, *pairs: str, layer: Layer = Layer.TRACE, ago: int = 0, count: float = 10.0) -> MapMaker:
        """Says of the edge `web>payments` which workloads call each other: `web-1>payments-2`, or `>payments-2` where only the
        callee's is known."""
        detail = EdgeDetail()
        for pair in pairs:
            detail.count_workloads(edge(pair), count, minute(ago))
        self.calls(text, layer=layer)
        self.graph.describe(layer, [(edge(text), detail)], NOW)
        return self

    def _node(self, service: str) -> Node:
        return Node(service, self._kinds.get(service, Kind.SERVICE), name=service)


def graph_of(*edges: EdgeKey, at: float = NOW) -> LiveGraph:
    """A live graph with these edges, all seen in the minute before `at`, in this order."""
    graph = LiveGraph(NameIndex())
    for one in edges:
        for service in one:
            if service not in PSEUDO:
                graph.add_node(Node(service, name=service))
        graph.see(Layer.TRACE, minute(now=at), [(one, tally())], at)
    return graph
