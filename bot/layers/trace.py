"""The trace layer: spans in any order, however late -> calls per edge and minute.

Comes in: `SpanBatch`es. Goes out: `LayerDelta`s. A trace is linked once it has been quiet for a moment; its spans stay
a while longer, and where more come, it is linked again and only the difference goes out, so that the sum of all deltas
is what linking the complete trace once would give. What is lost, and counted in `dropped`: spans sent twice; the
pairing of spans that come after their trace was let go.

No clock inside and no lock: one thread at a time, and `now` (epoch seconds) comes in.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from itertools import islice

from bot.layers.linker import Link, link
from bot.layers.workloads import tell_apart
from bot.model import LATENCY_BUCKETS, Layer, LayerDelta, Node, Tally
from bot.telemetry.spans import SpanBatch, TraceSpans, put_beside

_LONGEST_NS = 86_400 * 1_000_000_000  # a longer call is an unset clock, and counts as this long
_MAX_NODES = 200_000
_ZERO = 1e-6  # sums of weights that cancel out may leave a rounding error
# Bucket of a latency by the bit length of its multiple of 250 µs, see `bot.model.LATENCY_BUCKETS`.
_BUCKETS = [min(max(bits - 1, 0), LATENCY_BUCKETS - 1) for bits in range(64)]


class _Trace:
    """The spans of one open trace. The first `linked` of them are in the deltas already."""

    __slots__ = ("last", "linked", "spans", "tangled", "waiting")

    def __init__(self, now: float) -> None:
        self.spans: TraceSpans = {}
        self.tangled = False
        self.linked = 0
        self.last = now
        self.waiting = now  # since when a span has been waiting to be linked


class TraceLayer:
    """Holds open traces. Seconds: linked after `settle` without a new span, or when one has waited for `settle_max`;
    let go `lifetime` after the last span. At most `max_spans` in all, the longest quiet traces go first; a trace of
    `max_trace_spans` is linked and let go at once, and what comes after it starts anew."""

    layer = Layer.TRACE

    def __init__(
        self,
        settle: float = 2.0,
        settle_max: float = 5.0,
        lifetime: float = 60.0,
        max_spans: int = 400_000,
        max_trace_spans: int = 20_000,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self.stats: Counter[str] = Counter()
        self._settle = settle
        self._settle_max = settle_max
        self._lifetime = lifetime
        self._max_spans = max_spans
        self._max_trace_spans = max_trace_spans
        self._traces: OrderedDict[bytes, _Trace] = OrderedDict()  # the longest quiet first
        self._waiting: dict[bytes, _Trace] = {}  # not linked since their last span
        self._spans = 0
        self._delta = LayerDelta(Layer.TRACE)

    @property
    def open_spans(self) -> int:
        """Spans in memory, for gauges."""
        return self._spans

    @property
    def open_traces(self) -> int:
        """Traces in memory, for gauges."""
        return len(self._traces)

    def add(self, batch: SpanBatch, now: float) -> None:
        """Take a batch in. Adding the same spans again changes nothing while their trace is open."""
        self.stats["spans"] += batch.accepted
        self.stats["rejected"] += batch.rejected
        self.dropped["duplicate span"] += batch.duplicates
        self._describe(batch.nodes)
        if batch.reports and (left_out := self._delta.report(batch.reports)):
            self.dropped["report: too many between two collects"] += left_out
        for trace_id, spans in batch.traces.items():
            trace = self._traces.get(trace_id)
            if trace is None:
                trace = self._traces[trace_id] = _Trace(now)
            else:
                self._traces.move_to_end(trace_id)
            trace.last = now
            trace.tangled = trace.tangled or trace_id in batch.tangled
            self._put(trace_id, trace, spans, now)
        while self._spans > self._max_spans:
            self._let_go(next(iter(self._traces)), "late pairing lost: too many open spans")

    def collect(self, now: float) -> LayerDelta:
        """Link what has settled, let go what is old, and hand over everything learnt since the last call."""
        for trace_id, trace in list(self._waiting.items()):
            if now - trace.last >= self._settle or now - trace.waiting >= self._settle_max:
                del self._waiting[trace_id]
                self._link(trace)
        while self._traces and now - next(iter(self._traces.values())).last >= self._lifetime:
            self._let_go(next(iter(self._traces)))
        return self._take_delta()

    def flush(self, now: float) -> LayerDelta:
        """Link everything that waits and hand it over, settled or not (shutdown). Traces stay open."""
        for trace in self._waiting.values():
            self._link(trace)
        self._waiting.clear()
        return self.collect(now)

    # -- one trace ---------------------------------------------------------------------------------------------------

    def _put(self, trace_id: bytes, trace: _Trace, spans: TraceSpans, now: float) -> None:
        mine = trace.spans
        before = len(mine)
        if not mine:
            trace.spans = mine = spans.copy()
        elif mine.keys().isdisjoint(spans):
            mine.update(spans)
        else:
            self._join(trace, spans)
        if len(mine) == before:
            return
        self._spans += len(mine) - before
        if trace_id not in self._waiting:
            trace.waiting = now
            self._waiting[trace_id] = trace
        if len(mine) >= self._max_trace_spans:
            self._let_go(trace_id, "late pairing lost: too many spans in one trace")

    def _join(self, trace: _Trace, spans: TraceSpans) -> None:
        """Put in spans of which some have an id that is taken."""
        for key, span in spans.items():
            span_id = key[0] if isinstance(key, tuple) else key
            if span_id not in trace.spans:
                trace.spans[span_id] = span
            elif put_beside(trace.spans, span_id, span):
                trace.tangled = True
            else:
                self.dropped["duplicate span"] += 1

    def _link(self, trace: _Trace) -> None:
        """Put the trace's links into the delta; where it was linked before, what has changed since."""
        links = link(trace.spans, trace.tangled)
        if trace.linked:
            self.stats["relinked traces"] += 1
            before = Counter(link(dict(islice(trace.spans.items(), trace.linked)), trace.tangled))
            after = Counter(links)
            self._fold((before - after).elements(), -1)
            self._fold((after - before).elements(), 1)
        else:
            self._fold(links, 1)
        trace.linked = len(trace.spans)

    def _describe(self, nodes: Mapping[str, Node]) -> None:
        described = self._delta.nodes
        for node in nodes.values():
            known = described.get(node.id)
            if known is None and len(described) >= _MAX_NODES:
                self.dropped["service description: too many between two collects"] += 1
            else:
                described[node.id] = known.merged(node) if known else node

    def _let_go(self, trace_id: bytes, early: str = "") -> None:
        trace = self._traces.pop(trace_id)
        self._spans -= len(trace.spans)
        if self._waiting.pop(trace_id, None):
            self._link(trace)
        if early:
            self.dropped[early] += 1

    # -- the delta ---------------------------------------------------------------------------------------------------

    def _fold(self, links: Iterable[Link], sign: int) -> None:
        windows = self._delta.windows
        for caller, callee, minute, failed, duration, weight in links:
            edges = windows.get(minute)
            if edges is None:
                edges = windows[minute] = {}
            tally = edges.get((caller, callee))
            if tally is None:
                tally = edges[caller, callee] = Tally()
            tally.sampled += sign
            weight *= sign
            tally.calls += weight
            if failed:
                tally.errors += weight
            if duration > 0:
                if duration > _LONGEST_NS:
                    duration = _LONGEST_NS
                tally.latency_us += duration * weight / 1000
                tally.histogram[_BUCKETS[(duration // 250_000).bit_length()]] += weight

    def _take_delta(self) -> LayerDelta:
        delta, self._delta = self._delta, LayerDelta(Layer.TRACE)
        tell_apart(delta)
        for minute, edges in list(delta.windows.items()):
            for edge, tally in list(edges.items()):
                if not tally.sampled and _is_zero(tally):  # given and taken back since the last call
                    del edges[edge]
            if not edges:
                del delta.windows[minute]
        return delta


def _is_zero(tally: Tally) -> bool:
    return max(map(abs, (tally.calls, tally.errors, tally.latency_us, *tally.histogram))) < _ZERO
