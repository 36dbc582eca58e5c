"""OTLP metrics, protobuf or JSON -> samples, spelled as Prometheus would have them.

Comes in: an ExportMetricsServiceRequest. Goes out: a `SampleBatch`: monotonic sums as `…_total`; histograms, plain and
exponential, as `…_count`, `…_sum` and cumulative `…_bucket`s. What is lost: gauges, summaries, sums that may fall, metrics
nobody wants and points without a value, counted as ignored; exemplars. An exponential histogram is read at fixed bounds, since
its own change with its scale.

Sources: opentelemetry-proto metrics/v1/metrics.proto; the spelling is that of "Prometheus and OpenMetrics Compatibility"
(opentelemetry.io/docs/specs/otel/compatibility). A series is told from others by all attributes of its resource: two pods of
one service count apart.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from math import inf, ldexp
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, DataPointFlags

from bot.errors import BadRequest, TooLarge
from bot.telemetry.releases import IMAGE_TAGS
from bot.telemetry.samples import NAME, Sample, SampleBatch

_UNITS = {
    "s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds", "By": "bytes", "m": "minutes",
}  # fmt: skip
_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
_NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
# In units of the metric; enough for seconds and for milliseconds.
_FIXED_BOUNDS = tuple(0.00025 * 2**power for power in range(37))
_ROUNDING = 1.0000001  # powers of a root of two are not exact
MAX_ENTRIES = 2_000_000
"""Resources, scopes, metrics and points in one body: an empty one takes two bytes there, and fifty times that here."""
MAX_PARTS = 40_000_000
"""Labels and values of all samples of one body. A histogram's point repeats its labels, and its resource's, in every bucket."""
MAX_LABELS, MAX_BUCKETS = 256, 1_000
_TOO_MUCH = "more points, or labels on them, than one body may hold: send fewer at a time"
_NOT_ASKED_FOR = "metric that counts no calls"
_NO_COUNTER = "gauge, summary or sum that may fall"


def decode_protobuf(body: bytes, now: float, wanted: Container[str] | None = None) -> SampleBatch:
    """The samples of all metrics, or of those in `wanted` as Prometheus names them. Raises BadRequest where the body is no such
    message, TooLarge where it holds too much."""
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        raise BadRequest("not an ExportMetricsServiceRequest") from None
    return _read(request, wanted)


def decode_json(body: bytes, now: float, wanted: Container[str] | None = None) -> SampleBatch:
    """The same of a JSON body. Raises BadRequest where it is no such document, TooLarge where it holds too much."""
    request = ExportMetricsServiceRequest()
    try:
        json_format.Parse(body, request, ignore_unknown_fields=True, max_recursion_depth=60)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not an ExportMetricsServiceRequest in JSON: {str(error)[:200]}") from None
    return _read(request, wanted)


def _read(request: ExportMetricsServiceRequest, wanted: Container[str] | None) -> SampleBatch:
    batch = SampleBatch()
    parts = 0
    _check_size(request)
    for resource in request.resource_metrics:
        shared: tuple[str, ...] | None = None
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = _points(batch, metric, wanted)
                if points:
                    shared = _labels(resource.resource.attributes) if shared is None else shared
                    for point in points:
                        parts += _take(batch, metric, point, shared)
                        if parts > MAX_PARTS:
                            raise TooLarge(_TOO_MUCH)
    return batch


def _check_size(request: ExportMetricsServiceRequest) -> None:
    """Count what there is before anything is made of it."""
    entries = len(request.resource_metrics)
    for resource in request.resource_metrics if entries <= MAX_ENTRIES else ():
        entries += len(resource.scope_metrics)
        for scope in resource.scope_metrics if entries <= MAX_ENTRIES else ():
            entries += len(scope.metrics)
            for metric in scope.metrics if entries <= MAX_ENTRIES else ():
                kind = metric.WhichOneof("data")
                entries += len(getattr(metric, kind).data_points) if kind is not None else 0
    if entries > MAX_ENTRIES:
        raise TooLarge(_TOO_MUCH)


def _points(batch: SampleBatch, metric: Any, wanted: Container[str] | None) -> list[Any]:
    """The points of a metric that count something somebody wants to know."""
    kind = metric.WhichOneof("data")
    if kind is None:
        batch.refuse(f"metric {metric.name[:60]!r} has no data")
        return []
    data = getattr(metric, kind)
    name = _spelled(metric.name, metric.unit)
    if kind == "sum":
        why = "" if data.is_monotonic else _NO_COUNTER
        parts = [_counter(name)]
    else:
        why = "" if kind in ("histogram", "exponential_histogram") else _NO_COUNTER
        parts = [f"{name}_count", f"{name}_bucket"]
    if why or (wanted is not None and not any(part in wanted for part in parts)):
        batch.ignore(why or _NOT_ASKED_FOR, len(data.data_points))
        return []
    points = [point for point in data.data_points if not point.flags & _NO_VALUE]
    if len(points) < len(data.data_points):
        batch.ignore("stale marker", len(data.data_points) - len(points))
    return points


def _take(batch: SampleBatch, metric: Any, point: Any, shared: tuple[str, ...]) -> int:
    """Add the samples of one point; says how many labels and values they have in all."""
    kind = metric.WhichOneof("data")
    delta = getattr(metric, kind).aggregation_temporality == _DELTA
    name = _spelled(metric.name, metric.unit)
    attributes = len(shared) // 2 + len(point.attributes)
    if attributes > MAX_LABELS or (kind == "histogram" and len(point.bucket_counts) > MAX_BUCKETS):
        batch.refuse(f"a point of {metric.name[:60]!r} with more than {MAX_LABELS} attributes or {MAX_BUCKETS} buckets")
        return attributes
    batch.accepted += 1
    labels = shared + _labels(point.attributes)
    before = len(batch.samples)
    at, start = point.time_unix_nano / 1e9, point.start_time_unix_nano / 1e9
    if kind == "sum":
        value = point.as_double if point.WhichOneof("value") == "as_double" else float(point.as_int)
        batch.samples.append(Sample((NAME, _counter(name), *labels), at, value, start, delta))
        return len(labels)
    batch.samples.append(Sample((NAME, f"{name}_count", *labels), at, float(point.count), start, delta))
    if point.HasField("sum"):
        batch.samples.append(Sample((NAME, f"{name}_sum", *labels), at, point.sum, start, delta))
    bucket = (NAME, f"{name}_bucket", *labels, "le")
    for bound, count in _plain(point) if kind == "histogram" else _exponential(point):
        batch.samples.append(Sample((*bucket, repr(bound)), at, count, start, delta))
    return len(bucket) * (len(batch.samples) - before)


def _plain(point: Any) -> Iterator[tuple[float, float]]:
    below = 0.0
    for bound, count in zip([*point.explicit_bounds, inf], point.bucket_counts, strict=False):
        below += count
        yield bound, below


def _exponential(point: Any) -> Iterator[tuple[float, float]]:
    """Bucket `index` ends at `base ** (index + 1)` where `base = 2 ** (2 ** -scale)` (metrics.proto)."""
    buckets = enumerate(point.positive.bucket_counts, point.positive.offset + 1)
    filled = [(_power(index, point.scale), count) for index, count in buckets if count]
    below, place = float(point.zero_count), 0
    for bound in _FIXED_BOUNDS:
        while place < len(filled) and filled[place][0] <= bound * _ROUNDING:
            below += filled[place][1]
            place += 1
        yield bound, below
    yield inf, float(point.count)


def _power(index: int, scale: int) -> float:
    try:
        return float(2.0 ** ldexp(index, -scale))
    except OverflowError:
        return inf if index > 0 else 0.0


def _labels(attributes: Iterable[Any]) -> tuple[str, ...]:
    """Label, value, label, value, ... Attributes that are lists, maps or bytes name nobody, save one."""
    found: list[str] = []
    for one in attributes:
        kind = one.value.WhichOneof("value")
        if kind == "string_value":
            found += (_label(one.key), one.value.string_value)
        elif kind in ("int_value", "bool_value", "double_value"):
            found += (_label(one.key), str(getattr(one.value, kind)))
        elif one.key == IMAGE_TAGS and one.value.array_value.values:
            found += (_label(one.key), one.value.array_value.values[0].string_value)
    return tuple(found)


@lru_cache(maxsize=10_000)
def _label(key: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


@lru_cache(maxsize=10_000)
def _spelled(name: str, unit: str) -> str:
    """With the unit at its end, if it is not there yet, also before a `_total` that a scraped counter keeps."""
    spelled = re.sub(r"[^a-zA-Z0-9_:]", "_", name)
    suffix = _UNITS.get(unit, "")
    return f"{spelled}_{suffix}" if suffix and not spelled.removesuffix("_total").endswith(suffix) else spelled


def _counter(spelled: str) -> str:
    return spelled if spelled.endswith("_total") else f"{spelled}_total"
