"""OTLP traces in protobuf -> spans. The bot's hottest loop: about a microsecond a span.

Comes in: the bytes of an ExportTraceServiceRequest. Goes out: a `SpanBatch`. What is lost: whatever
`bot.telemetry.otlp_schema` leaves out, and attributes that cannot name a peer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from bot.errors import BadRequest
from bot.model import Node, Report
from bot.names import on_workload
from bot.telemetry import places, releases, semconv
from bot.telemetry.otlp_schema import Request
from bot.telemetry.sampling import weight
from bot.telemetry.spans import (
    BY_ID,
    CLIENT,
    LOCAL,
    MAX_AGE,
    NO_SPAN,
    NO_TRACE,
    SpanBatch,
    SpanTuple,
    TraceSpans,
    clock_window,
    fault,
)

_ERROR = Status(code=Status.STATUS_CODE_ERROR).SerializeToString()
_CACHED_RESOURCE, _CACHED_VALUES = 4_000, 1_000
"""Bytes. What is longer is worked out each time: the caches are bounded in bytes, not only in entries."""
_UNKNOWN = ""
_READ = frozenset(semconv.PEER_KEYS)
_Pairs = tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class _Reporter:
    """What one resource tells of its spans. `peers`: what the usual sets of raw values name, for this environment."""

    service: str | None
    environment: str
    peers: dict[Hashable, str | None]


def decode_protobuf(body: bytes, now: float, oldest: float | None = MAX_AGE) -> SpanBatch:
    """The spans of a body. `now` in epoch seconds, `oldest` in seconds before it (None: any age). Raises BadRequest."""
    batch = SpanBatch()
    peers: dict[str, dict[Hashable, str | None]] = {}
    clock = clock_window(now, oldest)
    try:
        for resource_spans in Request.FromString(body).resource_spans:
            resource = resource_spans.resource
            known = _reported if len(resource) <= _CACHED_RESOURCE else _reported.__wrapped__
            node, environment, reported, running = known(resource)
            batch.mention(node)
            reporter = _Reporter(reported, environment, peers.setdefault(environment, {}))
            for scope_spans in resource_spans.scope_spans:
                spans = scope_spans.spans
                _add_spans(spans, reporter, batch, clock)
                if running and spans:
                    batch.report(running, spans[-1].end_time_unix_nano)
    except DecodeError as error:
        raise BadRequest(f"the body is not an ExportTraceServiceRequest in protobuf: {error}") from None
    return batch.counted()


def _add_spans(spans: Iterable[Any], reporter: _Reporter, batch: SpanBatch, clock: tuple[int, int]) -> None:
    """Long and flat on purpose: a call costs as much as five lines, so what every span needs is in line.

    The current names of the commonest attributes are looked up here; spans with any other go through `_peer`.
    """
    service, peers, traces = reporter.service, reporter.peers, batch.traces
    earliest, latest = clock
    last_trace = NO_TRACE
    found: TraceSpans = {}
    made: SpanTuple
    for span in spans:
        trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
        start = span.start_time_unix_nano
        if (
            len(span_id) != 8
            or span_id == NO_SPAN
            or (parent_id and len(parent_id) != 8)
            or not earliest <= start <= latest
            or (trace_id != last_trace and fault(trace_id, span_id, parent_id))
        ):
            reason = fault(trace_id, span_id, parent_id) or "clock"
            batch.reject(reason, f"span {span_id[:8].hex()} of trace {trace_id[:16].hex()}, start {start} ns")
            continue
        if trace_id != last_trace:
            found = traces.setdefault(trace_id, {})
            last_trace = trace_id
        kind = span.kind
        if kind not in _READ:  # INTERNAL, or a kind of the future
            made = (parent_id, LOCAL, service, None, False, 0, 0, 1.0, None, BY_ID)
        else:
            attributes = span.attributes
            peer: str | None = _UNKNOWN
            if "service.peer.name" not in attributes and "peer.service" not in attributes:
                if kind < CLIENT:
                    peer = None
                elif "db.system" not in attributes and "messaging.system" not in attributes:
                    values: Hashable = attributes.get("server.address")
                    if "db.system.name" in attributes:
                        values = (values, attributes.get("db.system.name"), attributes.get("db.namespace"))
                    peer = peers.get(values, _UNKNOWN)
            if peer == _UNKNOWN:
                kind, peer = _peer(span, reporter, batch)
            status, state = span.status, span.trace_state
            made = (
                parent_id,
                kind,
                service,
                peer,
                status != b"" and (status == _ERROR or _failed(status)),
                start,
                span.end_time_unix_nano - start or 1,
                weight(state) if state else 1.0,
                None,
                BY_ID,
            )
        if found.setdefault(span_id, made) is not made:
            batch.collide(trace_id, span_id, made)


def _peer(span: Any, reporter: _Reporter, batch: SpanBatch) -> tuple[int, str | None]:
    """The span's kind, put right, and its peer, from all the attributes that may say so.

    Where they are just those that `_add_spans` looks up, the answer is remembered for the rest of the batch.
    """
    attributes = span.attributes
    pairs = tuple([(key, attributes[key]) for key in semconv.PEER_KEYS[span.kind] if key in attributes])
    if not pairs and span.kind >= CLIENT:
        pairs = tuple([(key, attributes[key]) for key in semconv.URL_KEYS if key in attributes])
    known = _named if sum(len(value) for _, value in pairs) <= _CACHED_VALUES else _named.__wrapped__
    kind, node = known(span.kind, pairs, reporter.environment)
    peer = batch.mention(node)
    values = dict(pairs)
    address, system = values.get("server.address"), values.get("db.system.name")
    if address is not None and values.keys() <= {"server.address", "db.system.name", "db.namespace"}:
        reporter.peers[address if system is None else (address, system, values.get("db.namespace"))] = peer
    return kind, peer


@lru_cache(maxsize=16_384)
def _named(kind: int, pairs: _Pairs, environment: str) -> tuple[int, Node | None]:
    return semconv.peer(kind, {key: _plain(value) for key, value in pairs}, environment)


@lru_cache(maxsize=4_096)
def _reported(resource: bytes) -> tuple[Node | None, str, str | None, tuple[Report, ...]]:
    """(node, environment, what its spans report themselves as, what it runs, and where)."""
    pairs = Resource.FromString(resource).attributes
    attributes = {pair.key: pair.value.string_value for pair in pairs}
    node, environment = semconv.reporter(attributes)
    if node is None:
        return node, environment, None, ()
    reported = on_workload(node.id, semconv.workload(attributes))
    for pair in pairs:
        if pair.key == releases.IMAGE_TAGS and pair.value.array_value.values:
            attributes[pair.key] = pair.value.array_value.values[0].string_value
    said = releases.of_resource(node.id, attributes) + places.of_resource(node.id, attributes)
    return node, environment, reported, said


def _plain(value: bytes) -> str | bool:
    """A raw AnyValue: its text, whether it is true, or "" for whatever cannot name anything."""
    try:
        plain = AnyValue.FromString(value)
    except DecodeError:
        return ""
    return plain.bool_value or plain.string_value


def _failed(status: bytes) -> bool:
    return bool(Status.FromString(status).code == Status.STATUS_CODE_ERROR)
