"""Builds OTLP export requests for tests in few words."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

_NOTHING: Mapping[str, str | list[str]] = {}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def attribute(key: str, value: str | list[str]) -> KeyValue:
    """An attribute that is a text, or a list of texts."""
    if isinstance(value, list):
        return KeyValue(
            key=key, value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=one) for one in value]))
        )
    return KeyValue(key=key, value=AnyValue(string_value=value))


def resource(text: str) -> list[KeyValue]:
    """`service` or `service/deployment[.namespace][@cluster]` as the attributes of a resource."""
    service, _, workload = text.partition("/")
    name, _, cluster = workload.partition("@")
    deployment, _, namespace = name.partition(".")
    given = {
        "service.name": service,
        "k8s.deployment.name": deployment,
        "k8s.namespace.name": namespace,
        "k8s.cluster.name": cluster,
    }
    return [attribute(key, value) for key, value in given.items() if value]


def calls(
    pairs: Iterable[tuple[str, str]],
    count: int = 1,
    failed: bool = False,
    at: float | None = None,
    duration: float = 0.02,
    more: Mapping[str, str | list[str]] = _NOTHING,
) -> bytes:
    """Client and server spans for each (caller, callee), `count` times, as a serialised export request. `payments/v2.shop@east`
    is payments on the Deployment v2 in the namespace shop of the cluster east. `more`: what else both resources say."""
    at = time.time() - 1 if at is None else at
    request = ExportTraceServiceRequest()
    for caller, callee in pairs:
        ours, theirs = request.resource_spans.add(), request.resource_spans.add()
        ours.resource.attributes.extend(resource(caller))
        theirs.resource.attributes.extend(resource(callee))
        for one in (ours, theirs):
            one.resource.attributes.extend(attribute(key, value) for key, value in more.items())
        client_scope, server_scope = ours.scope_spans.add(), theirs.scope_spans.add()
        for _ in range(count):
            trace, client, server = secrets.token_bytes(16), secrets.token_bytes(8), secrets.token_bytes(8)
            times = {"start_time_unix_nano": int(at * 1e9), "end_time_unix_nano": int((at + duration) * 1e9)}
            asked = client_scope.spans.add(
                trace_id=trace, span_id=client, kind=Span.SPAN_KIND_CLIENT, name="call", **times
            )
            answered = server_scope.spans.add(
                trace_id=trace, span_id=server, parent_span_id=client, kind=Span.SPAN_KIND_SERVER, name="serve", **times
            )
            if failed:
                asked.status.code = answered.status.code = Status.STATUS_CODE_ERROR
    return request.SerializeToString()
