"""From what the layers learn to the map: show it, write it, let go of what is old.

Comes in: `LayerDelta`s. Goes out: the live graph and the recent windows (seconds after the first sighting), minute windows
in the database (batched, off the request path). What is lost: nothing silently: a failed write is tried again, under the
same name, so that one that was stored after all is not stored twice, and a kill loses at most what was accepted but not
yet written (a few seconds of telemetry, never an alert).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import structlog

from bot import metrics
from bot.changes.releases import Releases
from bot.enrich.view import MapView
from bot.graph.sighting import Sighted
from bot.intake import Intake, Pipeline
from bot.layers.windows import PendingWindows, slices
from bot.live_feed import LiveFeed
from bot.model import ENTRY, PSEUDO, WINDOW_SECONDS, EdgeKey, Layer, LayerDelta, Node, Tally
from bot.names import bare
from bot.storage.map_store import MapStore, StoredEdge

MAX_PENDING_WINDOWS = 500_000
_SLICE = 1_000
_LONGEST_STOP = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one write has to store. It stays one batch under one token until it is: whether a commit whose connection broke was
    carried out, only its token in the database can say."""

    token: str
    windows: PendingWindows
    edges: list[StoredEdge]
    nodes: list[Node]


class Ingest:
    """Keeps the map and its database up to date with what comes in by `intake`. Lives on the event loop."""

    def __init__(self, pipelines: Iterable[Pipeline], view: MapView, store: MapStore, stored: set[str]) -> None:
        self.intake = Intake(pipelines, view.heard, self._full)
        self.feed = LiveFeed()
        self.releases = Releases()
        self._view = view
        self._store = store
        self._stored = stored
        self._retracted: set[tuple[Layer, EdgeKey]] = set()
        self._described: set[tuple[Layer, EdgeKey]] = set()  # learnt more of, besides counts, since the last write
        self._unstored: dict[Layer, _Batch] = {}  # under way, or failed
        self._writing = asyncio.Lock()
        self._published: Counter[tuple[str, str]] = Counter()

    def _full(self) -> str:
        if self._pending_windows > MAX_PENDING_WINDOWS:
            return "the database does not keep up; windows are waiting to be written"
        return ""

    async def collect(self, now: float, *, everything: bool = False) -> None:
        """Take what the layers have learnt since the last call and show it on the map."""
        for delta in await self.intake.collect(now, everything=everything):
            await self.apply(delta, now)
        self._publish()

    async def tell(self) -> None:
        """Tell whoever listens what has changed on the map."""
        self.feed.flush()

    async def apply(self, delta: LayerDelta, now: float) -> None:
        """Show a layer's delta on the map, a slice at a time so that an alert never waits for a big one."""
        windows, graph = self._view.windows[delta.layer], self._view.graph
        delta = _under_one_name(delta, graph.names.canonical)
        self.intake.describe(delta.nodes)
        if delta.reports:
            self.releases.see(delta.reports, now)
            self._view.places.see(delta.reports, now)
        for minute, counts in slices(delta, _SLICE):
            shown = [(edge, tally) for edge, tally in counts if self._place(edge)]
            windows.add(minute, shown, now)
            graph.see(delta.layer, minute, shown, now)
            self.feed.seen(edge for edge, tally in shown if tally.calls > 0)
            for edge, tally in shown:
                if tally.calls < 0 and windows.calls(edge) <= 0 and graph.retract(delta.layer, edge, now - 3_600):
                    self._retracted.add((delta.layer, edge))
                    self.feed.gone([edge])
            await asyncio.sleep(0)
        details = iter(delta.details.items())
        while some := list(islice(details, _SLICE)):
            self._described.update((delta.layer, edge) for edge in graph.describe(delta.layer, some, now))
            await asyncio.sleep(0)

    def _place(self, edge: EdgeKey) -> bool:
        """Make sure both ends are on the map; False where a cap refuses one."""
        return all(
            self._view.graph.add_node(self.intake.nodes.get(service) or Node(service, name=service))
            for service in edge
            if service not in PSEUDO
        )

    async def write(self, now: float) -> int:
        """Write every window that waits; says how many. What cannot be written stays for the next time; the error is raised."""
        async with self._writing:
            return await self._write(now)

    async def _write(self, now: float) -> int:
        written = 0
        # Taken together with the counts that correct them: what is retracted while this waits for the database has its
        # corrections in the next write, and must go after that one.
        retracted, self._retracted = self._retracted, set()
        try:
            for layer in self._view.windows:
                if layer in self._unstored:
                    written += await self._write_batch(layer, now)
                if (batch := self._take(layer)) is not None:
                    self._unstored[layer] = batch
                    written += await self._write_batch(layer, now)
        except BaseException:
            self._retracted |= retracted
            raise
        await self._forget(retracted)
        metrics.WINDOWS_WRITTEN.inc(written)
        metrics.WINDOWS_DIRTY.set(self._pending_windows)
        return written

    async def _write_batch(self, layer: Layer, now: float) -> int:
        batch = self._unstored[layer]
        written = await _to_its_end(
            self._store.write(layer, batch.nodes, batch.edges, batch.windows, now, batch.token), _LONGEST_STOP
        )
        del self._unstored[layer]
        self._stored.update(node.id for node in batch.nodes)
        return written

    def _take(self, layer: Layer) -> _Batch | None:
        """All that a layer has to write, as one batch; None where that is nothing."""
        pending = self._view.windows[layer].take_pending()
        if not pending:
            return None
        graph = self._view.graph
        edges: dict[EdgeKey, StoredEdge] = {}
        for minute, counts in pending.items():
            for edge in counts:
                seen = self._sighted(layer, edge) or Sighted(float(minute), float(minute + WINDOW_SECONDS))
                detail = seen.detail if (layer, edge) in self._described else None
                edges[edge] = StoredEdge(layer, edge, seen.first_seen, seen.last_seen, seen.interval, detail)
        self._described.difference_update((layer, edge) for edge in edges)
        ends = sorted({service for edge in edges for service in edge} - PSEUDO - self._stored)
        nodes = [graph.node(service) for service in ends if service in graph]
        return _Batch(secrets.token_hex(8), pending, list(edges.values()), nodes)

    async def _forget(self, retracted: set[tuple[Layer, EdgeKey]]) -> None:
        """Take back on disk what was taken back on the map, unless it has been seen again since."""
        gone = [(layer, edge) for layer, edge in sorted(retracted) if self._sighted(layer, edge) is None]
        if not gone:
            return
        try:
            await self._store.forget(gone)
        except BaseException:
            self._retracted.update(gone)
            raise

    def _sighted(self, layer: Layer, edge: EdgeKey) -> Sighted | None:
        """When a layer saw an edge, or an entry, as the map has it; None where it has not."""
        caller, callee = edge
        if caller == ENTRY:
            return self._view.graph.entry(callee)
        if caller in PSEUDO or not self._view.graph.networkx.has_edge(caller, callee):
            return None
        return self._view.graph.layers(caller, callee).get(layer)

    async def expire(self, now: float, windows_before: float, edges_before: float) -> None:
        """Let go of what is older than the retention, in memory and on disk."""
        for windows in self._view.windows.values():
            windows.expire(now)
        self.releases.expire(now)
        self._view.places.expire(now)
        gone = 0
        for dropped in self._view.graph.sweep(now, edges_before):
            gone += dropped
            await asyncio.sleep(0)
        self._stored.intersection_update(self._view.graph.services())
        self._described = {one for one in self._described if self._sighted(*one) is not None}
        if gone:
            log.info("edges unseen for too long left the map", edges=gone)
        await self._store.expire(windows_before, edges_before)

    async def close(self, now: float) -> None:
        """Link and write everything that is open, then stop the worker threads."""
        await self.collect(now, everything=True)
        await self.write(now)
        self.intake.close()

    @property
    def _pending_windows(self) -> int:
        waiting = sum(len(edges) for batch in self._unstored.values() for edges in batch.windows.values())
        return waiting + sum(windows.pending for windows in self._view.windows.values())

    def _publish(self) -> None:
        metrics.MAP_SERVICES.set(self._view.graph.service_count)
        metrics.MAP_EDGES.set(self._view.graph.edge_count)
        dropped = self.drops()
        for (place, reason), count in (dropped - self._published).items():
            metrics.TELEMETRY_DROPPED.labels(place, reason).inc(count)
        self._published = dropped

    def drops(self) -> Counter[tuple[str, str]]:
        """Everything left out since the start, by (where, reason)."""
        dropped = self.intake.drops()
        dropped.update({("map", reason): n for reason, n in self._view.graph.dropped.items()})
        dropped.update({("releases", reason): n for reason, n in self.releases.dropped.items()})
        dropped.update({("places", reason): n for reason, n in self._view.places.dropped.items()})
        dropped["windows", "memory cap"] = sum(windows.evicted for windows in self._view.windows.values())
        return dropped


async def _to_its_end(write: Coroutine[Any, Any, int], longest: float) -> int:
    """Wait for a write, for `longest` seconds more where whoever waits is cancelled: a transaction that is left in its middle
    can keep SQLite locked for the last write of all."""
    writing = asyncio.ensure_future(write)
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        log.info("stopping once what is being written is stored")
        done, _ = await asyncio.wait([writing], timeout=longest)
        if not done:
            writing.cancel()
            raise
        return writing.result()


def _under_one_name(delta: LayerDelta, canonical: Callable[[str], str]) -> LayerDelta:
    """The same delta with every service under the id that the alias table has for it."""
    found = LayerDelta(delta.layer)
    for node in delta.nodes.values():
        known = canonical(node.id)
        found.nodes[known] = node if known == node.id else Node(known, node.kind, bare(known), "", node.environment)
    for minute, edges in delta.windows.items():
        into = found.windows.setdefault(minute, {})
        for (caller, callee), tally in edges.items():
            edge = (canonical(caller), canonical(callee))
            if edge in into:
                into[edge].add(tally)
            else:
                into[edge] = tally
    for (caller, callee), detail in delta.details.items():
        edge = (canonical(caller), canonical(callee))
        if edge in found.details:
            found.details[edge].add(detail)
        else:
            found.details[edge] = detail
    for (service, facet, value), at in delta.reports.items():
        found.report({(canonical(service), facet, value): at})
    return found


async def load(view: MapView, store: MapStore, now: float, since: float) -> set[str]:
    """Put the stored map, as far as it was seen at `since` or later, and its last hour of windows back into memory; gives the
    ids of the services that are stored."""
    stored = set()
    for node in await store.services():
        view.graph.add_node(node)
        stored.add(node.id)
    for found in await store.edges(since):
        view.graph.restore(
            found.layer, found.edge, Sighted(found.first_seen, found.last_seen, found.interval, found.detail)
        )
        view.heard[found.layer] = max(view.heard.get(found.layer, 0.0), found.last_seen)
    for layer, windows in view.windows.items():
        minutes: dict[int, list[tuple[EdgeKey, Tally]]] = {}
        async for start, edge, tally in store.windows(layer, now - 3_600 - WINDOW_SECONDS):
            minutes.setdefault(start, []).append((edge, tally))
        for start, counts in minutes.items():
            windows.remember(start, counts)
    for _ in view.graph.sweep(now, before=since):
        pass
    return stored
