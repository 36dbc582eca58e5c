"""The doors of the IPC layer, from HTTP to the answering map."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import cramjam
import pytest
import requests
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from bot.telemetry.packing import BODY_LIMIT
from bot.telemetry.remote_write import MESSAGES
from tests.kit.bots import bot, until
from tests.kit.remote_write import HEADERS, HEADERS_2, write_request, write_request_2

GRAPH = {"client": "web", "server": "cart"}
METRIC = "traces_service_graph_request_total"


async def write(session: aiohttp.ClientSession, body: bytes, headers: dict[str, str]) -> aiohttp.ClientResponse:
    async with session.post("/api/v1/write", data=body, headers=headers) as answer:
        await answer.read()
        return answer


async def calls(session: aiohttp.ClientSession) -> float:
    async with session.get("/api/v1/services/cart") as answer:
        found = await answer.json()
        edges = found.get("callers") or []
        return float(edges[0]["layers"]["ipc"]["calls"]) if edges else 0.0


@pytest.mark.parametrize("version", [1, 2])
def test_remote_write_is_on_the_map_seconds_later(tmp_path: Path, version: int) -> None:
    make, headers = ((write_request, HEADERS), (write_request_2, HEADERS_2))[version - 1]

    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            now = time.time()
            for turn, value in enumerate((100.0, 140.0, 140.0)):
                answer = await write(session, make([(METRIC, GRAPH, now - 20 + min(turn, 1) * 15, value)]), headers)
                assert answer.status == 204
                assert answer.headers["X-Prometheus-Remote-Write-Samples-Written"] == "1"
                assert answer.headers["X-Prometheus-Remote-Write-Histograms-Written"] == "0"
                assert answer.headers["X-Prometheus-Remote-Write-Exemplars-Written"] == "0"
            assert await until(lambda: calls(session), "the calls") == 40

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("changes", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v9.Request"}, b"", 415),
        ({"Content-Encoding": "gzip"}, b"", 415),
        ({}, b"not snappy at all", 400),
        ({}, bytes(cramjam.snappy.compress_raw(b"\xff\xff\xff not protobuf")), 400),
        ({}, b"\xff\xff\xff\xff\x0f" + b"x" * 50, 413),
    ],
)
def test_what_is_no_remote_write_is_refused_for_good(
    tmp_path: Path, changes: dict[str, str], body: bytes, status: int
) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            assert (await write(session, body, dict(HEADERS) | changes)).status == status

    assert BODY_LIMIT < 2**32
    asyncio.run(scenario())


def test_labels_outside_the_table_of_symbols_are_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    request = MESSAGES["Request"]()
    request.symbols.extend(["", "__name__", METRIC])
    for labels in ([1, 99], [1, 2]):
        series = request.timeseries.add(labels_refs=labels)
        series.samples.add(value=1, timestamp=int(time.time() * 1_000))

    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
            answer = await write(session, body, dict(HEADERS_2))
            assert (answer.status, answer.content_type) == (400, "application/problem+json")
            assert answer.headers["X-Prometheus-Remote-Write-Samples-Written"] == "1"

    asyncio.run(scenario())


def otlp(value: int, at: float, *, delta: bool = False) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    attribute = resource.resource.attributes.add(key="service.name")
    attribute.value.string_value = "web"
    metric = resource.scope_metrics.add().metrics.add(name="http.client.request.duration", unit="s")
    metric.histogram.aggregation_temporality = (
        AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        if delta
        else AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    point = metric.histogram.data_points.add(
        start_time_unix_nano=int((at - 1) * 1e9) if delta else 1_000_000_000, time_unix_nano=int(at * 1e9), count=value,
        sum=value * 0.05, explicit_bounds=[0.1], bucket_counts=[value, 0],
    )  # fmt: skip
    for key, text in (("server.address", "cart"), ("http.request.method", "GET")):
        point.attributes.add(key=key).value.string_value = text
    return request


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("delta", [False, True])
def test_otlp_histograms_of_both_temporalities_count_calls_and_latency(
    tmp_path: Path, as_json: bool, delta: bool
) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            now = time.time()
            for value, at in ((5 if delta else 100, now - 20), (7 if delta else 112, now - 5)):
                request = otlp(value, at, delta=delta)
                body: Any = request.SerializeToString()
                kind = "application/x-protobuf"
                if as_json:
                    body, kind = json.dumps(_as_json(request)), "application/json"
                async with session.post("/v1/metrics", data=body, headers={"Content-Type": kind}) as answer:
                    assert (answer.status, answer.content_type) == (200, kind)
            await until(lambda: calls(session), "the calls")
            await asyncio.sleep(0.6)
            assert await calls(session) == 12
            async with session.get("/api/v1/services/cart") as answer:
                (edge,) = (await answer.json())["callers"]
            assert edge["layers"]["ipc"]["latency_ms"]["p95"] < 130

    asyncio.run(scenario())


def _as_json(request: ExportMetricsServiceRequest) -> dict[str, Any]:
    (resource,) = request.resource_metrics
    (point,) = resource.scope_metrics[0].metrics[0].histogram.data_points

    def attributes(given: Any) -> list[dict[str, Any]]:
        return [{"key": one.key, "value": {"stringValue": one.value.string_value}} for one in given]

    points = [{
        "startTimeUnixNano": str(point.start_time_unix_nano), "timeUnixNano": str(point.time_unix_nano), "count": str(point.count),
        "sum": point.sum, "explicitBounds": [0.1], "bucketCounts": [str(one) for one in point.bucket_counts],
        "attributes": attributes(point.attributes),
    }]  # fmt: skip
    temporality = resource.scope_metrics[0].metrics[0].histogram.aggregation_temporality
    metric = {"name": "http.client.request.duration", "unit": "s",
              "histogram": {"aggregationTemporality": temporality, "dataPoints": points}}  # fmt: skip
    return {"resourceMetrics": [{"resource": {"attributes": attributes(resource.resource.attributes)},
                                 "scopeMetrics": [{"metrics": [metric]}]}]}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status"), [("application/x-protobuf", 400), ("application/json", 400), ("text/plain", 415)]
)
def test_what_is_no_otlp_is_refused_in_its_own_encoding(tmp_path: Path, kind: str, status: int) -> None:
    async def scenario() -> None:
        async with (
            bot(tmp_path) as (_, session),
            session.post("/v1/metrics", data=b"\xff\xfe{", headers={"Content-Type": kind}) as answer,
        ):
            assert answer.status == status
            expected = "application/json" if kind == "application/json" else "application/x-protobuf"
            assert answer.content_type == expected

    asyncio.run(scenario())


def test_a_metric_without_data_is_a_partial_success(tmp_path: Path) -> None:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="empty")

    async def scenario() -> None:
        async with bot(tmp_path) as (running, _):
            answer = await asyncio.to_thread(
                requests.post, f"{running.url}/v1/metrics", data=request.SerializeToString(),
                headers={"Content-Type": "application/x-protobuf"}, timeout=5,
            )  # fmt: skip
            partial = ExportMetricsServiceResponse.FromString(answer.content).partial_success
            assert (answer.status_code, partial.rejected_data_points) == (200, 1)

    asyncio.run(scenario())
