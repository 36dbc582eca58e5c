"""Which release a service says it is of, in every format the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bot.layers.families import BY_METRIC
from bot.layers.ipc import IpcLayer
from bot.model import Report
from bot.telemetry import otlp_metrics
from bot.telemetry.otlp_json import decode_json
from bot.telemetry.otlp_protobuf import decode_protobuf
from bot.telemetry.releases import of_resource
from bot.telemetry.samples import Sample, SampleBatch
from tests.kit import spans
from tests.kit.otlp_json import as_json

NOW = 1_795_400_000.0


def said(*given: tuple[str, Any]) -> dict[Report, float]:
    """What a body of spans of an hour says in protobuf, whose JSON says the same."""
    body = spans.calls([("web", "payments")], at=NOW - 3_600, duration=3_600.0, more=dict(given))
    found = decode_protobuf(body, NOW).reports
    assert decode_json(as_json(body), NOW).reports == found
    return found


def test_version_and_image_of_a_resource_are_reported_when_its_spans_ended() -> None:
    found = said(("service.version", "1.43.0"), ("container.image.tags", ["abc123", "main"]))

    assert found == {
        (service, facet, value): NOW
        for service in ("web", "payments")
        for facet, value in (("version", "1.43.0"), ("image", "abc123"))
    }


@pytest.mark.parametrize("value", ["", " ", "latest", "Unknown", "\u200b", []])
def test_words_that_name_no_release_are_passed_over(value: object) -> None:
    assert said(("service.version", value), ("container.image.tags", value)) == {}


def test_older_names_of_the_image_are_read_and_the_first_that_says_anything_counts() -> None:
    assert of_resource("web", {"container.image.tags": "", "container.image.tag": "t1", "k8s.container.image.tag": "t2"}) == (
        ("web", "image", "t1"),
    )  # fmt: skip
    assert of_resource("web", {"k8s.container.image.tag": "t2"}) == (("web", "image", "t2"),)


def test_long_and_hostile_versions_are_cut() -> None:
    ((_, _, value), *_) = said(("service.version", "v\x00\u202e" + "9" * 5_000))

    assert value == "v" + "9" * 99


def test_a_list_of_tags_that_is_none_costs_no_span() -> None:
    body = json.loads(as_json(spans.calls([("web", "payments")], at=NOW, more={"service.version": "v1"})))
    for resource in body["resourceSpans"]:
        for broken in ({"values": 7}, [1], {"values": [{"intValue": "7"}]}, "x", None):
            resource["resource"]["attributes"].append({"key": "container.image.tags", "value": {"arrayValue": broken}})
    found = decode_json(json.dumps(body).encode(), NOW)

    assert (found.accepted, sorted(found.reports)) == (2, [("payments", "version", "v1"), ("web", "version", "v1")])


def test_a_body_that_names_more_releases_than_there_can_be_is_taken_as_far_as_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.telemetry.spans.MAX_REPORTS", 1)

    assert len(said(("service.version", "v1"))) == 1


def istio(**labels: str) -> tuple[Report, ...]:
    ends = {
        "source_canonical_service": "web", "source_workload_namespace": "shop", "destination_canonical_service": "payments",
        "destination_workload_namespace": "shop",
    }  # fmt: skip
    reading = BY_METRIC["istio_requests_total"].read(ends | labels)
    assert reading is not None
    return reading.reports


def test_istio_names_the_revision_at_both_ends() -> None:
    assert istio(source_version="v1", destination_version="v7") == (
        ("web.shop", "revision", "v1"), ("payments.shop", "revision", "v7"),
    )  # fmt: skip
    assert istio(destination_canonical_revision="v8", destination_version="v7") == (
        ("payments.shop", "revision", "v8"),
    )
    assert istio(source_canonical_revision="latest", source_version="unknown") == ()


def test_a_pull_sums_by_the_revisions_so_that_it_sees_them() -> None:
    assert {"destination_version", "source_canonical_revision"} <= set(BY_METRIC["istio_requests_total"].labels)


def test_a_counter_that_goes_on_reports_the_release_each_time_it_grows() -> None:
    labels = {
        "source_canonical_service": "web",
        "destination_canonical_service": "payments",
        "destination_version": "v7",
    }
    layer = IpcLayer(NOW - 3_600)
    seen = []
    for minute, value in ((0, 10.0), (1, 20.0), (2, 20.0), (3, 30.0)):
        at = NOW + 60 * minute
        pairs = ("__name__", "istio_requests_total", *(part for pair in labels.items() for part in pair))
        layer.add(SampleBatch([Sample(pairs, at, value)], 1), at)
        seen.append(list(layer.collect(at).reports))

    release = ("payments", "revision", "v7")
    assert seen == [[], [release], [], [release]]


def test_metrics_of_an_sdk_name_the_release_of_who_counts() -> None:
    point = {"timeUnixNano": int(NOW * 1e9), "count": "3", "sum": 1, "bucketCounts": ["3"], "explicitBounds": [],
             "attributes": [{"key": "server.address", "value": {"stringValue": "payments"}}]}  # fmt: skip
    metric = {
        "name": "http.client.request.duration",
        "unit": "s",
        "histogram": {"aggregationTemporality": 1, "dataPoints": [point]},
    }
    tags = {"arrayValue": {"values": [{"stringValue": "abc123"}]}}
    attributes = [
        {"key": "service.name", "value": {"stringValue": "web"}},
        {"key": "service.version", "value": {"stringValue": "v1"}},
        {"key": "container.image.tags", "value": tags},
    ]
    body = {"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": [metric]}]}]}
    request = json_format.ParseDict(body, ExportMetricsServiceRequest())
    layer = IpcLayer(NOW - 3_600)
    layer.add(otlp_metrics.decode_protobuf(request.SerializeToString(), NOW, BY_METRIC), NOW)

    assert sorted(layer.collect(NOW).reports) == [("web", "image", "abc123"), ("web", "version", "v1")]
