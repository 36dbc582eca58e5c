"""What metrics see of the shop: every HTTP call, as the caller's own OpenTelemetry histogram counts it.

Comes in: requests. Goes out: a body for the OTLP metrics door. What is missing: databases, topics, and the calls of services
that count nothing.

Source: opentelemetry.io "Semantic conventions for HTTP metrics": `http.client.request.duration`, its attributes and bounds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, HistogramDataPoint

from bot.demo.shop import SERVICES, Call, How, every
from bot.demo.traces import text

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_LAST_MOMENT = 0.001


def otlp(requests: Iterable[Call], since: float, until: float) -> ExportMetricsServiceRequest:
    """The calls of `[since, until)` (epoch s), as deltas. Stamped just before the end, which is already the next minute's."""
    timed: dict[str, dict[tuple[str, int], list[float]]] = {}
    for call in every(requests):
        if call.how in (How.RPC, How.EXTERNAL) and SERVICES[call.caller].metrics:
            status = 503 if call.failed else 200
            timed.setdefault(call.caller, {}).setdefault((call.callee, status), []).append(call.duration)
    body = ExportMetricsServiceRequest()
    for service, series in sorted(timed.items()):
        resource = body.resource_metrics.add()
        resource.resource.attributes.append(text("service.name", service))
        metric = resource.scope_metrics.add().metrics.add(name="http.client.request.duration", unit="s")
        metric.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        for (callee, status), durations in sorted(series.items()):
            point = _histogram(durations)
            point.start_time_unix_nano, point.time_unix_nano = int(since * 1e9), int((until - _LAST_MOMENT) * 1e9)
            point.attributes.extend(_attributes(callee, status))
            metric.histogram.data_points.append(point)
    return body


def _attributes(callee: str, status: int) -> list[KeyValue]:
    code = KeyValue(key="http.response.status_code", value=AnyValue(int_value=status))
    failed = [text("error.type", str(status))] if status >= 500 else []
    return [text("http.request.method", "POST"), text("server.address", callee), code, *failed]


def _histogram(durations: list[float]) -> HistogramDataPoint:
    counts = [0] * (len(_BOUNDS) + 1)
    for duration in durations:
        counts[bisect_left(_BOUNDS, duration)] += 1
    return HistogramDataPoint(count=len(durations), sum=sum(durations), explicit_bounds=_BOUNDS, bucket_counts=counts)
