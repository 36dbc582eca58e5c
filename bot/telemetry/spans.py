"""What every telemetry door makes of one request body: spans reduced to what linking needs, grouped by trace.

Comes in: one span at a time from a door. Goes out: a `SpanBatch`. What is lost: span names, events, links and all
attributes but those that name a peer; a span that cannot be used is counted in the batch with what was wrong with it.

A span is a plain tuple, not a class: millions are made, and a tuple of shared strings and small numbers is what CPython
makes fastest and keeps smallest. Its positions are the constants below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final

from bot.model import MAX_REPORTS, Node, Report

LOCAL, SERVER, CLIENT, PRODUCER, CONSUMER = 0, 2, 3, 4, 5
"""Span kinds, numbered as in OTLP (trace.proto, `SpanKind`), with INTERNAL and unspecified folded into LOCAL."""

BY_ID, BY_SHARED_ID, ADOPTED = 0, 1, 2
"""How a span joins its parent: it names the parent's id; it has the parent's id itself (Zipkin's `shared`); it names a
parent nobody reported and hangs on the trace's root instead (only ever set by `bot.layers.tangle`)."""

Endpoint = tuple[str, str, str, int]
"""Zipkin's localEndpoint: service name, IPv4, IPv6, port; "" or 0 where absent."""

SpanTuple = tuple[Hashable, int, str | None, str | None, bool, int, int, float, Endpoint | None, int]
"""A span without its id, which is its key:

PARENT    parent id, b"" for none
KIND      LOCAL, SERVER, CLIENT, PRODUCER or CONSUMER
SERVICE   id of the service that reports it, with its workload where that is known (`names.on_workload`); None where it
          does not say
PEER      id of the other end as this span names it, None where it does not
FAILED    whether it ended in an error
START     epoch nanoseconds
DURATION  nanoseconds; 0 not known, less than 0 a clock that jumped
WEIGHT    how many calls this sighting stands for
ENDPOINT  Zipkin's localEndpoint, None for OTLP
JOINED    BY_ID or BY_SHARED_ID

OTLP's LOCAL spans carry no times: they make no link.
"""

PARENT: Final = 0
KIND: Final = 1
SERVICE: Final = 2
PEER: Final = 3
FAILED: Final = 4
START: Final = 5
DURATION: Final = 6
WEIGHT: Final = 7
ENDPOINT: Final = 8
JOINED: Final = 9

SpanKey = Hashable
"""The span id (8 bytes). A further span with the same id has a pair: `(id, kind)` in OTLP, `(id, span)` in Zipkin."""

TraceSpans = dict[SpanKey, SpanTuple]

NO_TRACE, NO_SPAN = bytes(16), bytes(8)
MAX_AGE = 30 * 86_400.0
"""Seconds: spans that started longer ago are refused, unless a door's caller says otherwise."""
MAX_AHEAD = 86_400.0
"""Seconds: spans that start further in the future are refused; no clock is a day fast."""

_EARLIEST = 946_684_800.0  # 2000-01-01: an earlier start is an unset clock, not an old span
_MAX_ERRORS = 100
_MAX_ERROR_LENGTH = 200


@dataclass(slots=True)
class SpanBatch:
    """The spans of one body by trace id (16 bytes) and span key.

    `nodes` describes every service id the spans mention. `tangled` names the traces in which spans share an id or come
    from Zipkin: linking those takes one more step (see `bot.layers.tangle`). `accepted` includes `duplicates`. `reports` says
    when each was reported (epoch s).
    """

    traces: dict[bytes, TraceSpans] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    tangled: set[bytes] = field(default_factory=set)
    accepted: int = 0
    duplicates: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    reports: dict[Report, float] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """Spans that could not be used. `reasons` says why, `errors` what was wrong with the first hundred."""
        return self.reasons.total()

    @property
    def spans(self) -> list[SpanTuple]:
        """Every span of the batch, trace by trace."""
        return [span for spans in self.traces.values() for span in spans.values()]

    def collide(self, trace_id: bytes, span_id: bytes, span: SpanTuple) -> None:
        """Keep a span whose id is taken in its trace, or count it where it is the same one again."""
        if put_beside(self.traces[trace_id], span_id, span):
            self.tangled.add(trace_id)
        else:
            self.duplicates += 1

    def reject(self, reason: str, text: str) -> None:
        """Count a span that cannot be used. `reason` is one of a few words; `text` tells the sender more."""
        self.reasons[reason] += 1
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(f"{reason}: {text}"[:_MAX_ERROR_LENGTH])

    def mention(self, node: Node | None) -> str | None:
        """The id of a node that a span names, described in `nodes` from now on; None for None."""
        if node is None:
            return None
        known = self.nodes.get(node.id)
        self.nodes[node.id] = known.merged(node) if known else node
        return node.id

    def report(self, reports: Iterable[Report], end: int) -> None:
        """Note that a span which ended at `end` (epoch ns) came from these releases and places. It may have begun hours ago."""
        for report in reports:
            if report not in self.reports and len(self.reports) < MAX_REPORTS:
                self.reports[report] = end / 1e9

    def counted(self) -> SpanBatch:
        """This batch, complete: what it holds is counted before the trace layer takes it over."""
        self.accepted = sum(map(len, self.traces.values())) + self.duplicates
        return self


def put_beside(spans: TraceSpans, span_id: SpanKey, span: SpanTuple) -> bool:
    """Keep a span whose id another one has; False (and nothing is kept) where it is the same one again.

    In OTLP an id and a kind are one span, however often it is sent. In Zipkin two hosts may share an id and one span
    may come in several parts: only an equal part is a duplicate, and `bot.layers.tangle` puts the others together.
    """
    taken = spans[span_id]
    if taken == span:
        return False
    if span[ENDPOINT] is not None:
        return spans.setdefault((span_id, span), span) is span
    return taken[KIND] != span[KIND] and spans.setdefault((span_id, span[KIND]), span) is span


def fault(trace_id: bytes, span_id: bytes, parent_id: bytes = b"") -> str:
    """What is wrong with a span's ids, as a reason to reject it; "" for nothing. An empty parent id is none."""
    if len(trace_id) != len(NO_TRACE) or trace_id == NO_TRACE:
        return "trace id"
    if len(span_id) != len(NO_SPAN) or span_id == NO_SPAN:
        return "span id"
    return "parent id" if parent_id and len(parent_id) != len(NO_SPAN) else ""


def clock_window(now: float, oldest: float | None) -> tuple[int, int]:
    """The earliest and latest believable start, epoch ns. `oldest` is in seconds before `now`; None: any age."""
    earliest = _EARLIEST if oldest is None else max(_EARLIEST, now - oldest)
    return int(earliest * 1e9), int((now + MAX_AHEAD) * 1e9)
