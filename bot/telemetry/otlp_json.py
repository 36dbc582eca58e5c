"""OTLP traces in JSON -> spans, the same ones as from protobuf.

Comes in: the bytes of an ExportTraceServiceRequest as OTLP writes JSON: lowerCamelCase names, ids in hex of either case,
enumerations as numbers, 64-bit integers as numbers or strings, unknown fields ignored (opentelemetry-proto
docs/specification.md, "JSON Protobuf Encoding"). Goes out: a `SpanBatch`. What is lost: what is not declared here.
"""

from __future__ import annotations

from binascii import unhexlify

import msgspec

from bot.errors import BadRequest
from bot.names import on_workload
from bot.telemetry import places, releases, semconv
from bot.telemetry.sampling import weight
from bot.telemetry.spans import (
    BY_ID,
    LOCAL,
    MAX_AGE,
    SpanBatch,
    SpanTuple,
    clock_window,
    fault,
)

_STATUS_ERROR = 2
_BAD_ID = b"?"


class _AnyValue(msgspec.Struct):
    stringValue: str | None = None  # noqa: N815 - the names are OTLP's
    boolValue: bool | None = None  # noqa: N815
    arrayValue: msgspec.Raw = msgspec.Raw(b"null")  # noqa: N815 - read where a list is wanted, and then only


class _Array(msgspec.Struct):
    values: list[_AnyValue] | None = None


class _KeyValue(msgspec.Struct):
    key: str = ""
    value: _AnyValue | None = None


class _Status(msgspec.Struct):
    code: int = 0


class _Span(msgspec.Struct):
    traceId: str = ""  # noqa: N815
    spanId: str = ""  # noqa: N815
    parentSpanId: str | None = None  # noqa: N815
    traceState: str | None = None  # noqa: N815
    kind: int = 0
    startTimeUnixNano: int | str = 0  # noqa: N815
    endTimeUnixNano: int | str = 0  # noqa: N815
    attributes: list[_KeyValue] | None = None
    status: _Status | None = None


class _ScopeSpans(msgspec.Struct):
    spans: list[_Span] | None = None


class _Resource(msgspec.Struct):
    attributes: list[_KeyValue] | None = None


class _ResourceSpans(msgspec.Struct):
    resource: _Resource | None = None
    scopeSpans: list[_ScopeSpans] | None = None  # noqa: N815


class _Request(msgspec.Struct):
    resourceSpans: list[_ResourceSpans] | None = None  # noqa: N815


_decode = msgspec.json.Decoder(_Request).decode


def decode_json(body: bytes, now: float, oldest: float | None = MAX_AGE) -> SpanBatch:
    """The spans of a body. `now` in epoch seconds, `oldest` in seconds before it (None: any age). Raises BadRequest."""
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not an ExportTraceServiceRequest in OTLP JSON: {error}") from None
    batch = SpanBatch()
    clock = clock_window(now, oldest)
    for resource_spans in request.resourceSpans or ():
        resource = resource_spans.resource
        attributes = resource.attributes if resource else None
        plain = _plain(attributes)
        node, environment = semconv.reporter(plain)
        known = batch.mention(node)
        service = on_workload(known, semconv.workload(plain)) if known else None
        said = (
            releases.of_resource(known, _with_image_tags(attributes)) + places.of_resource(known, plain)
            if known
            else ()
        )
        for scope_spans in resource_spans.scopeSpans or ():
            for span in scope_spans.spans or ():
                _add(span, service, environment, batch, clock)
            if said and scope_spans.spans:
                batch.report(said, _number(scope_spans.spans[-1].endTimeUnixNano))
    return batch.counted()


def _add(span: _Span, service: str | None, environment: str, batch: SpanBatch, clock: tuple[int, int]) -> None:
    trace_id, span_id, parent_id = _id(span.traceId), _id(span.spanId), _id(span.parentSpanId or "")
    start, end = _number(span.startTimeUnixNano), _number(span.endTimeUnixNano)
    reason = fault(trace_id, span_id, parent_id) or ("" if clock[0] <= start <= clock[1] else "clock")
    if reason:
        batch.reject(reason, f"span {span.spanId[:16]!r} of trace {span.traceId[:32]!r}, start {str(start)[:20]} ns")
        return
    made: SpanTuple
    if span.kind not in semconv.PEER_KEYS:
        made = (parent_id, LOCAL, service, None, False, 0, 0, 1.0, None, BY_ID)
    else:
        kind, node = semconv.peer(span.kind, _plain(span.attributes), environment)
        failed = span.status is not None and span.status.code == _STATUS_ERROR
        calls = weight(span.traceState.encode(errors="ignore")) if span.traceState else 1.0
        made = (parent_id, kind, service, batch.mention(node), failed, start, end - start or 1, calls, None, BY_ID)
    if batch.traces.setdefault(trace_id, {}).setdefault(span_id, made) is not made:
        batch.collide(trace_id, span_id, made)


def _plain(pairs: list[_KeyValue] | None) -> dict[str, str | bool]:
    """Attributes by name; those that are neither a text nor a boolean cannot name anything."""
    return {
        pair.key: pair.value.stringValue or pair.value.boolValue or "" for pair in pairs or () if pair.value is not None
    }


def _with_image_tags(pairs: list[_KeyValue] | None) -> dict[str, str | bool]:
    found = _plain(pairs)
    for pair in pairs or ():
        if pair.key == releases.IMAGE_TAGS and pair.value is not None:
            found[pair.key] = _first(pair.value.arrayValue)
    return found


def _first(array: msgspec.Raw) -> str:
    """The first text of a list; "" where there is none."""
    try:
        values = msgspec.json.decode(array, type=_Array | None)
    except msgspec.DecodeError:
        return ""
    return (values.values[0].stringValue or "") if values is not None and values.values else ""


def _id(text: str) -> bytes:
    """An id from hex; one of no valid length where it is none."""
    try:
        return unhexlify(text)
    except ValueError:
        return _BAD_ID


def _number(value: int | str) -> int:
    """A 64-bit integer that may be quoted; 0, which no clock believes, where it is none."""
    try:
        return int(value)
    except ValueError:
        return 0
