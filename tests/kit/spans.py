"""Builds OTLP export requests for tests in few words."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def attribute(key: str, value: str) -> KeyValue:
    """A string attribute."""
    return KeyValue(key=key, value=AnyValue(string_value=value))


def calls(
    pairs: Iterable[tuple[str, str]],
    count: int = 1,
    failed: bool = False,
    at: float | None = None,
    duration: float = 0.02,
) -> bytes:
    """Client and server spans for each (caller, callee), `count` times, as a serialised export request."""
    at = time.time() - 1 if at is None else at
    request = ExportTraceServiceRequest()
    for caller, callee in pairs:
        ours, theirs = request.resource_spans.add(), request.resource_spans.add()
        ours.resource.attributes.append(attribute("service.name", caller))
        theirs.resource.attributes.append(attribute("service.name", callee))
        client_scope, server_scope = ours.scope_spans.add(), theirs.scope_spans.add()
        for _ in range(count):
            trace, client, server = secrets.token_bytes(16), secrets.token_bytes(8), secrets.token_bytes(8)
            times = {"start_time_unix_nano": int(at * 1e9), "end_time_unix_nano": int((at + duration) * 1e9)}
            one = client_scope.spans.add(
                trace_id=trace, span_id=client, kind=Span.SPAN_KIND_CLIENT, name="call", **times
            )
            other = server_scope.spans.add(
                trace_id=trace, span_id=server, parent_span_id=client, kind=Span.SPAN_KIND_SERVER, name="serve", **times
            )
            if failed:
                one.status.code = other.status.code = Status.STATUS_CODE_ERROR
    return request.SerializeToString()
