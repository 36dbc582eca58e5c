"""Traces of a shop as OpenTelemetry SDKs report them, for benchmarks: seeded, so that every run measures the same bytes.

A request enters at `web`, runs through handlers, databases, a cache and further services: about twelve spans a trace and
217 bytes a span, in batches as a collector sends them (all spans of a service under one resource).
"""

from __future__ import annotations

import random
from collections import defaultdict

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

_CALLEES = {
    "web": ("checkout", "catalog", "accounts"),
    "checkout": ("payments", "inventory", "shipping"),
    "catalog": ("search", "pricing"),
    "accounts": ("sessions",),
}
_ROUTES = ("/api/v1/orders/{id}", "/api/v1/items/{id}", "/api/v1/users/{id}/cart")
_BATCH_SECONDS = 5


class Shop:
    """Makes batches. `now` (epoch seconds) is when they end."""

    def __init__(self, now: float, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self._now_ns = int(now * 1e9)
        self._spans: dict[str, list[Span]] = {}

    def batch(self, traces: int) -> bytes:
        """An ExportTraceServiceRequest with so many complete traces."""
        self._spans = defaultdict(list)
        for _ in range(traces):
            start = self._now_ns - self._random.randrange(_BATCH_SECONDS * 1_000_000_000)
            self._serve(self._random.randbytes(16), b"", "web", start, 2)
        request = ExportTraceServiceRequest()
        for service, spans in self._spans.items():
            resource_spans = request.resource_spans.add()
            resource_spans.resource.attributes.extend(
                _attributes(
                    {
                        "service.name": service,
                        "service.namespace": "shop",
                        "deployment.environment.name": "prod",
                        "telemetry.sdk.language": "java",
                        "k8s.pod.name": f"{service}-7d9f8b6c5d-x2x9z",
                    }
                )
            )
            scope_spans = resource_spans.scope_spans.add()
            scope_spans.scope.name = "io.opentelemetry.instrumentation"
            scope_spans.spans.extend(spans)
        return request.SerializeToString()

    def _serve(self, trace: bytes, parent: bytes, service: str, start: int, depth: int) -> None:
        route = self._random.choice(_ROUTES)
        path = route.replace("{id}", str(self._random.randrange(1_000_000)))
        server = self._span(
            service, trace, parent, Span.SPAN_KIND_SERVER, f"GET {route}", start,
            {
                "http.request.method": "GET", "http.route": route, "url.path": path, "url.scheme": "https",
                "http.response.status_code": 200, "network.protocol.version": "1.1",
            },
        )  # fmt: skip
        handler = self._span(
            service, trace, server, Span.SPAN_KIND_INTERNAL, "handle", start,
            {"code.function.name": "shop.Api.handle", "thread.name": "http-exec-3"},
        )  # fmt: skip
        self._span(
            service, trace, handler, Span.SPAN_KIND_CLIENT, f"SELECT {service}", start,
            {
                "db.system.name": "postgresql", "db.namespace": service, "server.address": f"{service}-db",
                "server.port": 5432, "db.operation.name": "SELECT", "db.query.text": "SELECT * FROM orders WHERE id = ?",
            },
        )  # fmt: skip
        self._span(
            service,
            trace,
            handler,
            Span.SPAN_KIND_INTERNAL,
            "render",
            start,
            {"code.function.name": "shop.Page.render"},
        )
        callees = _CALLEES.get(service, ()) if depth else ()
        if parent and self._random.random() < 0.4:
            callees = ()
        for callee in self._random.sample(callees, min(len(callees), 1)):
            client = self._span(
                service, trace, handler, Span.SPAN_KIND_CLIENT, "GET", start,
                {
                    "http.request.method": "GET", "url.full": f"https://{callee}{path}", "server.address": callee, "server.port": 443,
                    "http.response.status_code": 200,
                },
            )  # fmt: skip
            self._serve(trace, client, callee, start, depth - 1)

    def _span(
        self, service: str, trace: bytes, parent: bytes, kind: Span.SpanKind.ValueType, name: str, start: int,
        attributes: dict[str, str | int],
    ) -> bytes:  # fmt: skip
        span_id = self._random.randbytes(8)
        duration = int(self._random.lognormvariate(15, 1.5))
        self._spans[service].append(
            Span(
                trace_id=trace, span_id=span_id, parent_span_id=parent, kind=kind, name=name, flags=0x101,
                start_time_unix_nano=start, end_time_unix_nano=start + duration, attributes=_attributes(attributes),
                status=Status(code=Status.STATUS_CODE_ERROR) if self._random.random() < 0.02 else None,
            )
        )  # fmt: skip
        return span_id


def _attributes(values: dict[str, str | int]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value))
        for key, value in values.items()
    ]
