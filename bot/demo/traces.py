"""What tracing sees of the shop: OTLP spans of one request in eight, and Zipkin spans of its older corner.

Comes in: requests. Goes out: bodies for the trace doors. What is missing: requests that were not sampled, services that send
no spans, and whatever such services call.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bot.demo.shop import CONSUMERS, SERVICES, Call, How, every

ONE_IN = 8
# Consistent probability sampling (opentelemetry.io, "TraceState: Probability Sampling"): a trace stays where the last 56 bits of
# its id are at least the threshold, which its spans carry as hex digits without the zeros at the end.
_THRESHOLD = (1 << 56) - (1 << 56) // ONE_IN
_TRACESTATE = f"ot=th:{_THRESHOLD:014x}".rstrip("0")

_DATABASES = {"payments-db": "postgresql", "cart-cache": "redis"}
_BROKER_SECONDS = 0.05


class Tracing:
    """The shop's tracers. They draw ids from a seed of their own, so that sampling does not change what happens."""

    def __init__(self) -> None:
        self._random = random.Random(11)  # noqa: S311 - ids of a story, not secrets
        self._spans: dict[str, list[Span]] = {}

    def otlp(self, requests: Iterable[Call]) -> ExportTraceServiceRequest:
        """The spans of those requests that are sampled."""
        for request in requests:
            trace = self._random.randbytes(16)
            if int.from_bytes(trace[-7:], "big") >= _THRESHOLD:
                self._follow(request, trace, b"")
        spans, self._spans = self._spans, {}
        body = ExportTraceServiceRequest()
        for service, found in sorted(spans.items()):
            resource = body.resource_spans.add()
            resource.resource.attributes.append(text("service.name", service))
            resource.scope_spans.add().spans.extend(found)
        return body

    def _follow(self, call: Call, trace: bytes, parent: bytes) -> None:
        """Add the spans of a call and of all that was called for it, below the span `parent` (b"" for none)."""
        caller = SERVICES.get(call.caller)
        if call.how is How.ZIPKIN:
            return
        if caller is not None and caller.spans:
            kind = Span.SPAN_KIND_PRODUCER if call.how is How.QUEUE else Span.SPAN_KIND_CLIENT
            span = self._add(caller.name, call, trace, parent, kind)
            span.attributes.extend(_peer(call))
            parent = span.span_id
        if call.how is How.QUEUE:
            span = self._add(CONSUMERS[call.callee], call, trace, parent, Span.SPAN_KIND_CONSUMER, _BROKER_SECONDS)
            span.attributes.extend(_peer(call))
        elif SERVICES[call.callee].spans and call.how is not How.RAW:
            kind = Span.SPAN_KIND_INTERNAL if call.how is How.JOB else Span.SPAN_KIND_SERVER
            parent = self._add(call.callee, call, trace, parent, kind).span_id
        for onward in call.calls:
            self._follow(onward, trace, parent)

    def _add(
        self, service: str, call: Call, trace: bytes, parent: bytes, kind: Span.SpanKind.ValueType, later: float = 0.0
    ) -> Span:
        span = Span(
            trace_id=trace, span_id=self._random.randbytes(8), parent_span_id=parent, trace_state=_TRACESTATE, kind=kind,
            name=call.callee, start_time_unix_nano=int((call.start + later) * 1e9),
            end_time_unix_nano=int((call.end + later) * 1e9),
        )  # fmt: skip
        if call.failed:
            span.status.code = Status.STATUS_CODE_ERROR
        self._spans.setdefault(service, []).append(span)
        return span

    def zipkin(self, requests: Iterable[Call]) -> list[dict[str, Any]]:
        """The older corner traces every call by itself; both ends of a call share one span id, as Zipkin has it."""
        spans = []
        for call in every(requests):
            if call.how is How.ZIPKIN:
                common = {
                    "traceId": self._random.randbytes(16).hex(), "id": self._random.randbytes(8).hex(), "name": "query",
                    "timestamp": int(call.start * 1e6), "duration": int(call.duration * 1e6),
                }  # fmt: skip
                spans.append(common | {"kind": "CLIENT", "localEndpoint": {"serviceName": call.caller}})
                spans.append(common | {"kind": "SERVER", "shared": True, "localEndpoint": {"serviceName": call.callee}})
        return spans


def _peer(call: Call) -> list[KeyValue]:
    if call.how is How.DATABASE:
        return [text("db.system.name", _DATABASES[call.callee]), text("server.address", call.callee)]
    if call.how is How.QUEUE:
        return [text("messaging.system", "kafka"), text("messaging.destination.name", call.callee)]
    return [text("server.address", call.callee)]


def text(key: str, value: str) -> KeyValue:
    """One OTLP attribute."""
    return KeyValue(key=key, value=AnyValue(string_value=value))
