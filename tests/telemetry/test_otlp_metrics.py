"""OTLP metrics -> samples in Prometheus' spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, DataPointFlags, Metric

from bot.errors import BadRequest, TooLarge
from bot.layers.families import BY_METRIC
from bot.telemetry import otlp_metrics
from bot.telemetry.otlp_metrics import MAX_BUCKETS, MAX_LABELS, decode_json, decode_protobuf
from bot.telemetry.samples import SampleBatch

NOW = 1_760_000_000.0
PAYLOAD = Path(__file__).parents[3] / "shared" / "payloads" / "ingest" / "otlp" / "metrics.json"
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


def request(*metrics: Metric, **resource: str) -> ExportMetricsServiceRequest:
    made = ExportMetricsServiceRequest()
    added = made.resource_metrics.add()
    for key, text in resource.items():
        added.resource.attributes.add(key=key.replace("_", ".")).value.string_value = text
    added.scope_metrics.add().metrics.extend(metrics)
    return made


def point(points: Any, at: float = NOW, start: float = NOW - 60, **fields: Any) -> Any:
    return points.add(time_unix_nano=int(at * 1e9), start_time_unix_nano=int(start * 1e9), **fields)


def counter(name: str, unit: str = "", *, monotonic: bool = True, temporality: Any = CUMULATIVE) -> Metric:
    metric = Metric(name=name, unit=unit)
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = monotonic, temporality
    return metric


def taken(*metrics: Metric, **resource: str) -> SampleBatch:
    """The batch, the same from protobuf and JSON."""
    made = request(*metrics, **resource)
    batch = decode_protobuf(made.SerializeToString(), NOW)
    document = json.dumps(json_format.MessageToDict(made, use_integers_for_enums=True))
    assert decode_json(document.encode(), NOW) == batch
    return batch


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
def test_a_monotonic_sum_is_a_counter_of_its_resource(temporality: int) -> None:
    metric = counter("obi.network.flow.bytes", "By", temporality=temporality)
    made = point(metric.sum.data_points, as_int=70)
    made.attributes.add(key="k8s.src.owner.name").value.string_value = "web"
    made.attributes.add(key="dst.port").value.int_value = 80
    made.attributes.add(key="tags").value.array_value.values.add(string_value="no label")
    (sample,) = taken(metric, service_name="agent").samples
    assert sample.labels == {
        "__name__": "obi_network_flow_bytes_total", "service_name": "agent", "k8s_src_owner_name": "web", "dst_port": "80",
    }  # fmt: skip
    assert (sample.at, sample.value, sample.start, sample.delta) == (NOW, 70, NOW - 60, temporality == DELTA)


@pytest.mark.parametrize(
    ("name", "unit", "spelled"),
    [
        ("traces_service_graph_request_total", "", "traces_service_graph_request_total"),
        ("istio_requests_total", "1", "istio_requests_total"),
        ("obi.network.flow.bytes", "By", "obi_network_flow_bytes_total"),
        ("istio_tcp_sent_bytes_total", "By", "istio_tcp_sent_bytes_total"),
        ("messaging.client.sent.messages", "{message}", "messaging_client_sent_messages_total"),
    ],
)
def test_names_are_spelled_as_prometheus_does_and_what_was_scraped_keeps_its_own(
    name: str, unit: str, spelled: str
) -> None:
    metric = counter(name, unit)
    point(metric.sum.data_points, as_double=1.0)
    assert [sample.name for sample in taken(metric).samples] == [spelled]
    assert spelled in BY_METRIC


def test_a_histogram_is_a_count_a_sum_and_cumulative_buckets() -> None:
    metric = Metric(name="http.client.request.duration", unit="s")
    metric.histogram.aggregation_temporality = CUMULATIVE
    point(metric.histogram.data_points, count=10, sum=2.5, explicit_bounds=[0.1, 1.0], bucket_counts=[4, 5, 1])
    samples = taken(metric).samples
    name = "http_client_request_duration_seconds"
    assert [(one.name, one.labels.get("le"), one.value) for one in samples] == [
        (f"{name}_count", None, 10), (f"{name}_sum", None, 2.5),
        (f"{name}_bucket", "0.1", 4), (f"{name}_bucket", "1.0", 9), (f"{name}_bucket", "inf", 10),
    ]  # fmt: skip
    assert {one.name for one in samples} <= BY_METRIC.keys()


def exponential(scale: int, offset: int, counts: list[int], zeros: int = 0) -> dict[float, float]:
    metric = Metric(name="rpc.client.call.duration", unit="s")
    metric.exponential_histogram.aggregation_temporality = DELTA
    made = point(
        metric.exponential_histogram.data_points, count=sum(counts) + zeros, sum=1.0, scale=scale, zero_count=zeros
    )
    made.positive.offset = offset
    made.positive.bucket_counts.extend(counts)
    samples = taken(metric).samples
    return {float(one.labels["le"]): one.value for one in samples if one.name.endswith("_bucket")}


def test_an_exponential_histogram_has_the_same_bounds_whatever_its_scale() -> None:
    fine = exponential(3, -8, [1] * 8)  # eight buckets in (0.5, 1]
    coarse = exponential(0, -1, [8])  # one, (0.5, 1]
    assert fine.keys() == coarse.keys()
    for bounds in (fine, coarse):
        assert list(bounds.values()) == sorted(bounds.values())
        assert (bounds[0.512], bounds[1.024], bounds[float("inf")]) in ((0, 8, 8), (1, 8, 8))


@pytest.mark.parametrize("scale", [-2_000, -11, 20, 2_000])
def test_no_scale_is_too_wild_to_read(scale: int) -> None:
    bounds = exponential(scale, -2, [1, 1, 1, 1], zeros=2)
    assert bounds[float("inf")] == 6
    assert list(bounds.values()) == sorted(bounds.values())


def test_a_point_without_a_value_is_the_end_of_a_series_and_no_restart() -> None:
    metric = counter("istio_requests_total")
    point(metric.sum.data_points, flags=DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK)
    point(metric.sum.data_points, as_int=5)
    batch = taken(metric)
    assert [sample.value for sample in batch.samples] == [5]
    assert batch.ignored == {"stale marker": 1}


def test_what_is_no_counter_is_ignored_and_counted() -> None:
    gauge, summary, updown = Metric(name="a"), Metric(name="b"), counter("c", monotonic=False)
    point(gauge.gauge.data_points, as_int=1)
    point(summary.summary.data_points, count=1)
    point(updown.sum.data_points, as_int=1)
    batch = taken(gauge, summary, updown)
    assert (batch.samples, batch.accepted) == ([], 3)
    assert batch.ignored == {"gauge, summary or sum that may fall": 3}


def test_a_metric_without_data_is_refused() -> None:
    batch = taken(Metric(name="empty"))
    assert (batch.rejected, batch.errors) == (1, ["metric 'empty' has no data"])


def test_metrics_nobody_wants_are_passed_over_before_their_points_are_read() -> None:
    other, wanted = counter("jvm.gc"), counter("istio_requests_total")
    point(other.sum.data_points, as_int=1)
    point(wanted.sum.data_points, as_int=1)
    batch = decode_protobuf(request(other, wanted).SerializeToString(), NOW, BY_METRIC)
    assert [sample.name for sample in batch.samples] == ["istio_requests_total"]
    assert batch.ignored == {"metric that counts no calls": 1}
    assert batch.accepted == 2


@pytest.mark.parametrize("body", [b"\xff\xff", b"\x0a\xff"])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_protobuf(body, NOW)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"[1]", b"null", b'{"resourceMetrics": 1}', b"[" * 100_000])
def test_what_is_no_json_document_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_json(body, NOW)


def test_json_takes_integers_as_numbers_or_texts_and_unknown_fields() -> None:
    numbers = {"timeUnixNano": 5_000_000_000, "asInt": 7, "somethingNew": {}}
    texts = {"timeUnixNano": "6000000000", "asInt": "8"}
    metric = {"name": "istio_requests_total",
              "sum": {"isMonotonic": True, "aggregationTemporality": 2, "dataPoints": [numbers, texts]}}  # fmt: skip
    body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    assert [(one.at, one.value) for one in decode_json(body, NOW).samples] == [(5, 7), (6, 8)]


@pytest.mark.skipif(not PAYLOAD.is_file(), reason="the sample payloads are not beside the repository")
def test_the_published_example_is_read() -> None:
    batch = decode_json(PAYLOAD.read_bytes(), NOW)
    assert not batch.rejected
    assert "my_counter_total" in {sample.name for sample in batch.samples}


def many(buckets: int = 2, attributes: int = 1, points: int = 1) -> Metric:
    metric = Metric(name="http.client.request.duration", unit="s")
    metric.histogram.aggregation_temporality = CUMULATIVE
    for _ in range(points):
        one = point(
            metric.histogram.data_points, count=1, explicit_bounds=range(buckets - 1), bucket_counts=[0] * buckets
        )
        for number in range(attributes):
            one.attributes.add(key=f"key.{number}").value.string_value = "x"
    return metric


@pytest.mark.parametrize("absurd", [many(buckets=MAX_BUCKETS + 1), many(attributes=MAX_LABELS + 1)])
def test_a_point_with_thousands_of_buckets_or_attributes_is_refused_and_the_others_are_taken(absurd: Metric) -> None:
    """Every bucket is a sample with every attribute: 180 KB would be half a gigabyte."""
    batch = taken(absurd, many(), service_name="web")
    assert (batch.accepted, batch.rejected) == (1, 1)
    assert "more than 256 attributes or 1000 buckets" in batch.errors[0]


def test_a_body_whose_labels_repeated_in_every_sample_are_beyond_all_measure_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(otlp_metrics, "MAX_PARTS", 10_000)
    assert taken(many(attributes=100, points=5)).accepted == 5
    with pytest.raises(TooLarge, match="send fewer"):
        taken(many(attributes=100, points=50))


@pytest.mark.parametrize(
    "body",
    [b"\x0a\x00" * 1_001, b"\x0a\xd4\x0f" + b"\x12\x00" * 1_002, b"\x0a\xd7\x0f\x12\xd4\x0f" + b"\x12\x00" * 1_002],
)
def test_millions_of_nothing_are_refused_before_anything_is_made_of_them(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_metrics, "MAX_ENTRIES", 1_000)
    with pytest.raises(TooLarge, match="send fewer"):
        decode_protobuf(body, NOW)
