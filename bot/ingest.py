"""From a telemetry door to the map: decode off the event loop, pair, fold, show, write.

Comes in: request bodies. Goes out: the live graph and the recent windows (seconds after the first span), minute windows
in the database (batched, off the request path). What is lost: nothing silently: a full queue is `Overloaded` (the
sender keeps the batch and tries again), a failed write is put back and tried again, and a kill loses at most what was
accepted but not yet written (a few seconds of telemetry, never an alert).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from bot import metrics
from bot.enrich.view import MapView
from bot.errors import Overloaded
from bot.graph.sighting import Sighted
from bot.layers.trace import TraceLayer
from bot.layers.windows import PendingWindows, slices
from bot.model import ENTRY, PSEUDO, WINDOW_SECONDS, EdgeKey, Layer, LayerDelta, Node, Tally
from bot.storage.map_store import MapStore, StoredEdge
from bot.telemetry.spans import SpanBatch

Decoder = Callable[[bytes, float, float | None], SpanBatch]
"""(body, now, oldest accepted age in seconds or None) -> spans. Raises BadRequest."""

MAX_QUEUED_BYTES = 256 * 1024 * 1024
MAX_PENDING_WINDOWS = 500_000
BATCH_GRACE_SECONDS = 900.0
_MAX_BATCH_IDS = 20_000
_MAX_NODES = 200_000
_SLICE = 1_000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class SourceStats:
    """What one telemetry door has taken in since the start, for `doctor`."""

    batches: int = 0
    accepted: int = 0
    last: float = 0.0
    newest: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)


class Ingest:
    """Owns the trace layer's worker thread. Everything but decoding and pairing happens on the event loop."""

    def __init__(
        self, trace: TraceLayer, view: MapView, store: MapStore, span_max_age: float, stored: set[str]
    ) -> None:
        self.sources: dict[str, SourceStats] = {}
        self._trace = trace
        self._view = view
        self._store = store
        self._span_max_age = span_max_age
        # One thread: the trace layer is single-threaded, and a big body must not hold the event loop.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spans")
        self._queued = 0
        self._applied: OrderedDict[bytes, float] = OrderedDict()
        self._nodes: OrderedDict[str, Node] = OrderedDict()
        self._stored = stored
        self._retracted: set[tuple[Layer, EdgeKey]] = set()
        self._layer_drops: Counter[str] = Counter()
        self._published: Counter[tuple[str, str]] = Counter()

    # -- a door's call -----------------------------------------------------------------------------------------------

    async def take(self, source: str, body: bytes, decode: Decoder) -> SpanBatch:
        """Decode and pair one request body. Raises BadRequest (nothing was taken) or Overloaded (try again later)."""
        if self._queued + len(body) > MAX_QUEUED_BYTES:
            raise Overloaded("too much telemetry is waiting to be decoded")
        if self._pending_windows > MAX_PENDING_WINDOWS:
            raise Overloaded("the database does not keep up; windows are waiting to be written")
        self._queued += len(body)
        metrics.TELEMETRY_QUEUED.set(self._queued)
        try:
            batch = await asyncio.get_running_loop().run_in_executor(self._worker, self._decode, source, body, decode)
        finally:
            self._queued -= len(body)
            metrics.TELEMETRY_QUEUED.set(self._queued)
        self._note(source, batch)
        return batch

    def _decode(self, source: str, body: bytes, decode: Decoder) -> SpanBatch:
        now = time.time()
        batch = decode(body, now, self._span_max_age)
        digest = hashlib.blake2b(body, digest_size=16, person=source.encode()[:16]).digest()
        while self._applied and (
            len(self._applied) > _MAX_BATCH_IDS or next(iter(self._applied.values())) < now - BATCH_GRACE_SECONDS
        ):
            self._applied.popitem(last=False)
        if digest in self._applied:  # a sender's retry: taken once, answered as before
            self._layer_drops["duplicate batch"] += 1
            return batch
        self._applied[digest] = now
        self._trace.add(batch, now)
        return batch

    def _note(self, source: str, batch: SpanBatch) -> None:
        stats = self.sources.setdefault(source, SourceStats())
        stats.batches += 1
        stats.accepted += batch.accepted
        stats.last = time.time()
        metrics.SPANS_ACCEPTED.labels(source).inc(batch.accepted)
        metrics.TELEMETRY_LAST.labels(source).set(stats.last)
        if batch.rejected:
            stats.dropped["rejected"] += batch.rejected
            metrics.TELEMETRY_DROPPED.labels(source, "rejected").inc(batch.rejected)
        if batch.accepted:
            self._view.heard[Layer.TRACE] = stats.last
        for node in batch.nodes.values():
            known = self._nodes.get(node.id)
            self._nodes[node.id] = known.merged(node) if known else node
        while len(self._nodes) > _MAX_NODES:
            self._nodes.popitem(last=False)

    # -- the loops ---------------------------------------------------------------------------------------------------

    async def collect(self, now: float, *, everything: bool = False) -> None:
        """Take what the trace layer has linked since the last call and show it on the map."""
        step = self._trace.flush if everything else self._trace.collect
        delta = await asyncio.get_running_loop().run_in_executor(self._worker, step, now)
        await self.apply(delta, now)
        self._publish()

    async def apply(self, delta: LayerDelta, now: float) -> None:
        """Show a layer's delta on the map, a slice at a time so that an alert never waits for a big one."""
        windows, graph = self._view.windows[delta.layer], self._view.graph
        for node in delta.nodes.values():
            self._nodes.setdefault(node.id, node)
        for minute, counts in slices(delta, _SLICE):
            shown = [(edge, tally) for edge, tally in counts if self._place(edge)]
            windows.add(minute, shown, now)
            graph.see(delta.layer, minute, shown, now)
            for edge, tally in shown:
                if tally.calls < 0 and windows.calls(edge) <= 0 and graph.retract(delta.layer, edge, now - 3_600):
                    self._retracted.add((delta.layer, edge))
            await asyncio.sleep(0)

    def _place(self, edge: EdgeKey) -> bool:
        """Make sure both ends are on the map; False where a cap refuses one."""
        return all(
            self._view.graph.add_node(self._nodes.get(service) or Node(service, name=service))
            for service in edge
            if service not in PSEUDO
        )

    async def write(self, now: float) -> int:
        """Write every window that waits; says how many. What cannot be written is put back and the error raised."""
        written = 0
        # Taken together with the counts that correct them: what is retracted while this waits for the database has its
        # corrections in the next write, and must go after that one.
        retracted, self._retracted = self._retracted, set()
        for layer, windows in self._view.windows.items():
            pending = windows.take_pending()
            if not pending:
                continue
            edges, nodes = self._rows(layer, pending)
            try:
                written += await self._store.write(layer, nodes, edges, pending, now)
            except BaseException:
                windows.restore(pending)
                self._retracted |= retracted
                raise
            self._stored.update(node.id for node in nodes)
        await self._forget(retracted)
        metrics.WINDOWS_WRITTEN.inc(written)
        metrics.WINDOWS_DIRTY.set(self._pending_windows)
        return written

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

    def _rows(self, layer: Layer, pending: PendingWindows) -> tuple[list[StoredEdge], list[Node]]:
        graph = self._view.graph
        edges: dict[EdgeKey, StoredEdge] = {}
        for minute, counts in pending.items():
            for edge in counts:
                seen = self._sighted(layer, edge) or Sighted(float(minute), float(minute + WINDOW_SECONDS))
                edges[edge] = StoredEdge(layer, edge, seen.first_seen, seen.last_seen, seen.interval)
        ends = sorted({service for edge in edges for service in edge} - PSEUDO - self._stored)
        return list(edges.values()), [graph.node(service) for service in ends if service in graph]

    async def expire(self, now: float, windows_before: float, edges_before: float) -> None:
        """Let go of what is older than the retention, in memory and on disk."""
        for windows in self._view.windows.values():
            windows.expire(now)
        gone = 0
        for dropped in self._view.graph.sweep(now, edges_before):
            gone += dropped
            await asyncio.sleep(0)
        self._stored.intersection_update(self._view.graph.services())
        if gone:
            log.info("edges unseen for too long left the map", edges=gone)
        await self._store.expire(windows_before, edges_before)

    async def close(self, now: float) -> None:
        """Link and write everything that is open, then stop the worker thread."""
        await self.collect(now, everything=True)
        await self.write(now)
        self._worker.shutdown(wait=True)

    @property
    def _pending_windows(self) -> int:
        return sum(windows.pending for windows in self._view.windows.values())

    def _publish(self) -> None:
        metrics.OPEN_SPANS.set(self._trace.open_spans)
        metrics.OPEN_TRACES.set(self._trace.open_traces)
        metrics.MAP_SERVICES.set(self._view.graph.service_count)
        metrics.MAP_EDGES.set(self._view.graph.edge_count)
        dropped = Counter(
            {("trace layer", reason): n for reason, n in (self._trace.dropped + self._layer_drops).items()}
        )
        dropped.update({("map", reason): n for reason, n in self._view.graph.dropped.items()})
        dropped["windows", "memory cap"] = sum(windows.evicted for windows in self._view.windows.values())
        for (place, reason), count in (dropped - self._published).items():
            metrics.TELEMETRY_DROPPED.labels(place, reason).inc(count)
        self._published = dropped


async def load(view: MapView, store: MapStore, now: float) -> set[str]:
    """Put the stored map and its last hour of windows back into memory; gives the ids of the services that are stored."""
    stored = set()
    for node in await store.services():
        view.graph.add_node(node)
        stored.add(node.id)
    for found in await store.edges():
        view.graph.restore(found.layer, found.edge, Sighted(found.first_seen, found.last_seen, found.interval))
        view.heard[found.layer] = max(view.heard.get(found.layer, 0.0), found.last_seen)
    for layer, windows in view.windows.items():
        minutes: dict[int, list[tuple[EdgeKey, Tally]]] = {}
        async for start, edge, tally in store.windows(layer, now - 3_600 - WINDOW_SECONDS):
            minutes.setdefault(start, []).append((edge, tally))
        for start, counts in minutes.items():
            windows.remember(start, counts)
    for _ in view.graph.sweep(now, before=0.0):
        pass
    return stored
