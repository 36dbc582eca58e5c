"""Zipkin v2 JSON -> spans.

Comes in: an array of spans (zipkin.io/zipkin-api, POST /api/v2/spans). Goes out: a `SpanBatch`. What is lost: names,
annotations, and all tags but whether there is one called `error`, which is how Zipkin marks a failed span.

Names are lower-cased, an id may leave leading zeros out (a 64-bit trace id is the low half of a 128-bit one), an empty
service name is none, and a span is not its own parent: as in openzipkin/zipkin, `Span.Builder` and `Endpoint.Builder`.
"""

from __future__ import annotations

from binascii import unhexlify
from typing import Any, Literal

import msgspec

from bot import names
from bot.errors import BadRequest
from bot.model import Kind
from bot.telemetry.spans import (
    BY_ID,
    BY_SHARED_ID,
    CLIENT,
    CONSUMER,
    LOCAL,
    MAX_AGE,
    NO_TRACE,
    PRODUCER,
    SERVER,
    Endpoint,
    SpanBatch,
    SpanTuple,
    TraceSpans,
    clock_window,
    fault,
)

_KINDS = {None: LOCAL, "CLIENT": CLIENT, "SERVER": SERVER, "PRODUCER": PRODUCER, "CONSUMER": CONSUMER}
_MESSAGING = (PRODUCER, CONSUMER)
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Local(msgspec.Struct, frozen=True, gc=False):
    serviceName: str | None = None  # noqa: N815 - the names are Zipkin's
    ipv4: str | None = None
    ipv6: str | None = None
    port: int | None = None


class _Remote(msgspec.Struct, frozen=True, gc=False):
    serviceName: str | None = None  # noqa: N815


class _Tags(msgspec.Struct, gc=False):
    error: Any = msgspec.UNSET


class _Span(msgspec.Struct, gc=False):
    traceId: str  # noqa: N815
    id: str
    parentId: str | None = None  # noqa: N815
    kind: Literal["CLIENT", "SERVER", "PRODUCER", "CONSUMER"] | None = None
    timestamp: int | None = None
    duration: int | None = None
    shared: bool | None = None
    localEndpoint: _Local | None = None  # noqa: N815
    remoteEndpoint: _Remote | None = None  # noqa: N815
    tags: _Tags | None = None


_decode_all = msgspec.json.Decoder(list[_Span]).decode
_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_one = msgspec.json.Decoder(_Span).decode


class _Ids(dict[str, bytes]):
    """Hex, its leading zeros left out -> id, remembered for one body; b"" for what is none, and for zero."""

    def __init__(self, digits: int) -> None:
        super().__init__()
        self._digits = digits
        self._zero = bytes(digits // 2)

    def __missing__(self, text: str) -> bytes:
        try:
            found = unhexlify(text if len(text) == self._digits else text.rjust(self._digits, "0"))
        except ValueError:
            found = b""
        if len(found) != len(self._zero) or found == self._zero:
            found = b""
        self[text] = found
        return found


class _Places(dict[_Local | None, tuple[str | None, Endpoint]]):
    """Local endpoint -> the service that runs there, and the endpoint as it is compared."""

    def __init__(self, batch: SpanBatch) -> None:
        super().__init__()
        self._batch = batch

    def __missing__(self, sent: _Local | None) -> tuple[str | None, Endpoint]:
        here = sent or _Local()
        name = (here.serviceName or "").lower()
        endpoint = (name, here.ipv4 or "", here.ipv6 or "", here.port or 0)
        found = self[sent] = self._batch.mention(names.service(name)), endpoint
        return found


class _Peers(dict[_Remote | None, str | None]):
    """Remote endpoint -> the id of a node of this kind, None where it has no name."""

    def __init__(self, batch: SpanBatch, kind: Kind) -> None:
        super().__init__()
        self._batch = batch
        self._kind = kind

    def __missing__(self, sent: _Remote | None) -> str | None:
        name = (sent and sent.serviceName) or ""
        found = self[sent] = self._batch.mention(names.service(name, kind=self._kind))
        return found


def decode(body: bytes, now: float, oldest: float | None = MAX_AGE) -> SpanBatch:
    """The spans of a body. `now` in epoch seconds, `oldest` in seconds before it (None: any age). Raises BadRequest.

    A span of the wrong shape costs the rest nothing but time: then each is decoded by itself.
    """
    batch = SpanBatch()
    try:
        spans = _decode_all(body)
    except _BROKEN:
        spans = _one_by_one(body, batch)
    _add(spans, batch, int(now * 1e9), clock_window(now, oldest))
    return batch.counted()


def _one_by_one(body: bytes, batch: SpanBatch) -> list[_Span]:
    try:
        items = _decode_raw(body)
    except _BROKEN as error:
        raise BadRequest(f"the body is not a JSON array of Zipkin v2 spans: {error}") from None
    spans: list[_Span] = []
    for position, item in enumerate(items):
        try:
            spans.append(_decode_one(item))
        except _BROKEN as error:
            batch.reject("malformed", f"span {position} of the array: {error}")
    return spans


def _add(spans: list[_Span], batch: SpanBatch, now_ns: int, clock: tuple[int, int]) -> None:
    trace_ids, span_ids = _Ids(_TRACE_DIGITS), _Ids(_SPAN_DIGITS)
    places, services, queues = _Places(batch), _Peers(batch, Kind.SERVICE), _Peers(batch, Kind.QUEUE)
    earliest, latest = clock
    last_trace = NO_TRACE
    found: TraceSpans = {}
    for span in spans:
        trace_id, span_id = trace_ids[span.traceId], span_ids[span.id]
        parent_id = span_ids[span.parentId] if span.parentId else b""
        start = span.timestamp * 1000 if span.timestamp else now_ns
        if (
            not trace_id
            or not span_id
            or (span.parentId and not parent_id and span.parentId.strip("0"))
            or not earliest <= start <= latest
        ):
            believable = earliest <= start <= latest
            reason = fault(trace_id, span_id) or ("parent id" if believable else "clock")
            batch.reject(reason, f"span {span.id[:16]!r} of trace {span.traceId[:32]!r}, timestamp {span.timestamp}")
            continue
        kind = _KINDS[span.kind]
        service, endpoint = places[span.localEndpoint]
        made: SpanTuple = (
            b"" if parent_id == span_id else parent_id,
            kind,
            service,
            (queues if kind in _MESSAGING else services)[span.remoteEndpoint],
            span.tags is not None and span.tags.error is not msgspec.UNSET,
            start,
            span.duration * 1000 if span.duration else 0,
            1.0,
            endpoint,
            BY_SHARED_ID if span.shared else BY_ID,
        )
        if trace_id is not last_trace:
            found = batch.traces.setdefault(trace_id, {})
            batch.tangled.add(trace_id)
            last_trace = trace_id
        if found.setdefault(span_id, made) is not made:
            batch.collide(trace_id, span_id, made)
