"""One description of spans -> the bodies an OTLP or a Zipkin sender would post.

Protobuf comes from the official classes, OTLP JSON from protobuf's own JSON mapping with ids in hex, Zipkin v2 JSON by the
names of its API.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

NOW = 1_790_000_000.0
TRACE = bytes(range(16))
Value = str | bool | int | float
_IDS = ("traceId", "spanId", "parentSpanId")
_KINDS = {
    "UNSPECIFIED": Span.SPAN_KIND_UNSPECIFIED,
    "INTERNAL": Span.SPAN_KIND_INTERNAL,
    "SERVER": Span.SPAN_KIND_SERVER,
    "CLIENT": Span.SPAN_KIND_CLIENT,
    "PRODUCER": Span.SPAN_KIND_PRODUCER,
    "CONSUMER": Span.SPAN_KIND_CONSUMER,
}


@dataclass(frozen=True)
class Sent:
    """One span of a service. `peer` is what it calls the other end; `attributes` are OTLP's alone."""

    id: str
    kind: str
    service: str | None
    parent: str = ""
    peer: str = ""
    failed: bool = False
    start: float = NOW - 10
    duration: float = 0.02
    trace: bytes = TRACE
    attributes: Mapping[str, Value] = field(default_factory=dict)
    tracestate: str = ""


def span_id(letter: str) -> bytes:
    """Eight bytes for a letter; none for none."""
    return letter.encode().rjust(8, b"\x01") if letter else b""


def attributes(values: Mapping[str, Value | None]) -> list[KeyValue]:
    """Attributes of every simple type; None is a value that is not set."""
    made = []
    for key, value in values.items():
        match value:
            case None:
                made.append(KeyValue(key=key))
            case bool():
                made.append(KeyValue(key=key, value=AnyValue(bool_value=value)))
            case int():
                made.append(KeyValue(key=key, value=AnyValue(int_value=value)))
            case float():
                made.append(KeyValue(key=key, value=AnyValue(double_value=value)))
            case _:
                made.append(KeyValue(key=key, value=AnyValue(string_value=value)))
    return made


def request(spans: Sequence[Sent], resource: Mapping[str, Value] | None = None) -> ExportTraceServiceRequest:
    """The export request of an SDK or collector: one resource per service, more attributes from `resource`."""
    found = ExportTraceServiceRequest()
    for service in dict.fromkeys(span.service for span in spans):
        resource_spans = found.resource_spans.add()
        own = {} if service is None else {"service.name": service}
        resource_spans.resource.attributes.extend(attributes({**own, **(resource or {})}))
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.spans.extend(_span(span) for span in spans if span.service == service)
    return found


def _span(sent: Sent) -> Span:
    start = int(sent.start * 1e6) * 1000
    peer = {"peer.service": sent.peer} if sent.peer else {}
    made = Span(
        trace_id=sent.trace,
        span_id=span_id(sent.id),
        parent_span_id=span_id(sent.parent),
        trace_state=sent.tracestate,
        name="what it is called plays no part",
        kind=_KINDS[sent.kind],
        start_time_unix_nano=start,
        end_time_unix_nano=start + int(sent.duration * 1e6) * 1000,
        attributes=attributes({**peer, **sent.attributes}),
    )
    if sent.failed:
        made.status.code, made.status.message = Status.STATUS_CODE_ERROR, "it broke"
    made.events.add(name="exception", time_unix_nano=start)
    made.links.add(trace_id=bytes(16), span_id=bytes(8))
    return made


def protobuf(spans: Sequence[Sent], resource: Mapping[str, Value] | None = None) -> bytes:
    """OTLP/HTTP in protobuf."""
    return request(spans, resource).SerializeToString()


def otlp_json(spans: Sequence[Sent], resource: Mapping[str, Value] | None = None) -> bytes:
    """OTLP/HTTP in JSON."""
    return as_otlp_json(request(spans, resource))


def as_otlp_json(found: ExportTraceServiceRequest) -> bytes:
    """A request as OTLP writes JSON: protobuf's mapping, but ids in hex and enumerations as numbers."""
    return json.dumps(_hex_ids(MessageToDict(found, use_integers_for_enums=True))).encode()


def _hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_hex_ids(inner) for inner in value]
    if isinstance(value, dict):
        return {key: base64.b64decode(inner).hex() if key in _IDS else _hex_ids(inner) for key, inner in value.items()}
    return value


def zipkin_json(spans: Sequence[Sent]) -> bytes:
    """Zipkin v2 JSON."""
    return json.dumps([_zipkin(span) for span in spans]).encode()


def _zipkin(sent: Sent) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": sent.trace.hex(),
        "id": span_id(sent.id).hex(),
        "name": "what it is called plays no part",
        "timestamp": int(sent.start * 1e6),
        "duration": int(sent.duration * 1e6),
        "annotations": [{"timestamp": 1, "value": "error"}],
        "tags": {"http.path": "/", **({"error": ""} if sent.failed else {})},
    }
    if sent.kind in ("CLIENT", "SERVER", "PRODUCER", "CONSUMER"):
        made["kind"] = sent.kind
    if sent.parent:
        made["parentId"] = span_id(sent.parent).hex()
    if sent.service is not None:
        made["localEndpoint"] = {"serviceName": sent.service, "ipv4": "10.0.0.1", "port": 8080}
    if sent.peer:
        made["remoteEndpoint"] = {"serviceName": sent.peer}
    return made
