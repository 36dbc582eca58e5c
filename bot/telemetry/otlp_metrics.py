"""OTLP metrics, protobuf or JSON -> samples, spelled as Prometheus would have them.

Comes in: an ExportMetricsServiceRequest. Goes out: a `SampleBatch`: monotonic sums as `…_total`; histograms, plain and
exponential, as `…_count`, `…_sum` and cumulative `…_bucket`s. What is lost: gauges, summaries and sums that may fall, counted as
ignored; exemplars. An exponential histogram is read at fixed bounds, since its own change with its scale.

Sources: opentelemetry-proto metrics/v1/metrics.proto; the spelling is that of "Prometheus and OpenMetrics Compatibility"
(opentelemetry.io/docs/specs/otel/compatibility). A series is told from others by all attributes of its resource: two pods of
one service count apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from bot.errors import BadRequest
from bot.telemetry.samples import Sample, SampleBatch

_UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "m": "minutes",
}
_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
# In units of the metric; wide enough for seconds and for milliseconds.
_FIXED_BOUNDS = tuple(0.00025 * 2**power for power in range(37))


def decode_protobuf(body: bytes, now: float) -> SampleBatch:
    """Raises BadRequest where the body is no such message."""
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        raise BadRequest("not an ExportMetricsServiceRequest") from None
    return _read(request)


def decode_json(body: bytes, now: float) -> SampleBatch:
    """Raises BadRequest where the body is no such document."""
    request = ExportMetricsServiceRequest()
    try:
        json_format.Parse(body, request, ignore_unknown_fields=True, max_recursion_depth=60)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not an ExportMetricsServiceRequest in JSON: {str(error)[:200]}") from None
    return _read(request)


def _read(request: ExportMetricsServiceRequest) -> SampleBatch:
    batch = SampleBatch()
    for resource in request.resource_metrics:
        shared = _labels(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                _take(batch, metric, shared)
    return batch


def _take(batch: SampleBatch, metric: Any, shared: Mapping[str, str]) -> None:
    kind = metric.WhichOneof("data")
    if kind == "sum" and metric.sum.is_monotonic:
        name = _spelled(metric.name, metric.unit) + "_total"
        delta = metric.sum.aggregation_temporality == _DELTA
        for point in metric.sum.data_points:
            value = point.as_double if point.WhichOneof("value") == "as_double" else float(point.as_int)
            batch.take(_sample(name, shared, point, value, delta=delta))
    elif kind in ("histogram", "exponential_histogram"):
        found = getattr(metric, kind)
        delta = found.aggregation_temporality == _DELTA
        buckets = _plain if kind == "histogram" else _exponential
        for point in found.data_points:
            batch.accepted += 1
            batch.samples.extend(
                _histogram(_spelled(metric.name, metric.unit), shared, point, buckets(point), delta=delta)
            )
    elif kind is None:
        batch.refuse(f"metric {metric.name[:60]!r} has no data")
    else:
        points = getattr(metric, kind).data_points
        batch.ignore("gauge, summary or sum that may fall", len(points))


def _histogram(
    name: str, shared: Mapping[str, str], point: Any, buckets: Iterable[tuple[float, float]], *, delta: bool
) -> Iterator[Sample]:
    yield _sample(f"{name}_count", shared, point, float(point.count), delta=delta)
    if point.HasField("sum"):
        yield _sample(f"{name}_sum", shared, point, point.sum, delta=delta)
    for bound, count in buckets:
        yield _sample(f"{name}_bucket", shared, point, count, delta=delta, le=repr(bound))


def _plain(point: Any) -> Iterator[tuple[float, float]]:
    below = 0.0
    for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=False):
        below += count
        yield bound, below


def _exponential(point: Any) -> Iterator[tuple[float, float]]:
    base = 2.0 ** (2.0**-point.scale)
    offset = point.positive.offset
    bounds = [
        (_power(base, offset + index + 1), count) for index, count in enumerate(point.positive.bucket_counts) if count
    ]
    for bound in _FIXED_BOUNDS:
        yield bound, float(point.zero_count) + sum(count for upper, count in bounds if upper <= bound * 1.0000001)
    yield float("inf"), float(point.count)


def _power(base: float, exponent: int) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return float("inf")


def _sample(name: str, shared: Mapping[str, str], point: Any, value: float, *, delta: bool, **more: str) -> Sample:
    labels = {**shared, **_labels(point.attributes), **more}
    at, start = point.time_unix_nano / 1e9, point.start_time_unix_nano / 1e9
    return Sample(name, labels, at, value, start, delta)


def _labels(attributes: Iterable[Any]) -> dict[str, str]:
    found = {}
    for one in attributes:
        kind = one.value.WhichOneof("value")
        if kind == "string_value":
            found[_label(one.key)] = one.value.string_value
        elif kind in ("int_value", "bool_value", "double_value"):
            found[_label(one.key)] = str(getattr(one.value, kind))
    return found


@lru_cache(maxsize=10_000)
def _label(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


@lru_cache(maxsize=10_000)
def _spelled(name: str, unit: str) -> str:
    spelled = re.sub(r"[^a-zA-Z0-9_:]", "_", name)
    suffix = _UNITS.get(unit, "")
    return f"{spelled}_{suffix}" if suffix and not spelled.endswith(suffix) else spelled
