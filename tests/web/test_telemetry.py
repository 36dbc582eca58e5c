"""The telemetry doors over HTTP: what senders see, whatever they send."""

from __future__ import annotations

import gzip
import io
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from google.rpc.status_pb2 import Status as RpcStatus  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from yarl import URL

from bot.telemetry.packing import BODY_LIMIT
from tests.kit.bots import bot, get, until
from tests.kit.spans import PROTOBUF, calls

Session = aiohttp.ClientSession
JSON = {"Content-Type": "application/json"}


async def edge_calls(session: Session, caller: str, callee: str) -> float:
    async with session.get(f"/api/v1/services/{caller}") as answer:
        if answer.status != 200:
            return 0.0
        found = await answer.json()
    return next((float(edge["layers"]["trace"]["calls"]) for edge in found["callees"] if edge["callee"] == callee), 0.0)


async def linked(session: Session, caller: str, callee: str) -> float:
    async def seen() -> float:
        return await edge_calls(session, caller, callee)

    return float(await until(seen, f"{caller} -> {callee} did not appear on the map"))


def zipkin_pair(caller: str, callee: str) -> list[dict[str, Any]]:
    common = {"traceId": "a" * 31 + "1", "id": "b" * 16, "timestamp": int(time.time() * 1e6), "duration": 1000}
    return [
        common | {"kind": "CLIENT", "localEndpoint": {"serviceName": caller}},
        common | {"kind": "SERVER", "shared": True, "localEndpoint": {"serviceName": callee}},
    ]


async def test_protobuf_spans_become_an_edge_within_seconds(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        async with session.post("/v1/traces", data=calls([("web", "cart")], count=7), headers=PROTOBUF) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/x-protobuf"
            assert not ExportTraceServiceResponse.FromString(await answer.read()).HasField("partial_success")

        assert await linked(session, "web", "cart") == 7


async def test_json_spans_are_answered_in_json(tmp_path: Path) -> None:
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "kind": 3,
        "name": "GET",
        "startTimeUnixNano": str(time.time_ns()),
        "endTimeUnixNano": str(time.time_ns()),
    }
    client = span | {"spanId": "EEE19B7EC3C1B174"}
    server = span | {
        "spanId": "eee19b7ec3c1b175",
        "parentSpanId": "eee19b7ec3c1b174",
        "kind": 2,
        "futureField": {"a": 1},
    }

    def resource(name: str, one: dict[str, Any]) -> dict[str, Any]:
        attributes = [{"key": "service.name", "value": {"stringValue": name}}]
        return {"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [one]}]}

    body = {"resourceSpans": [resource("web", client), resource("cart", server)]}
    async with bot(tmp_path) as (_, session):
        async with session.post("/v1/traces", json=body) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert await answer.json() == {}

        assert await linked(session, "web", "cart") == 1


async def test_gzip_is_unpacked(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        body = gzip.compress(calls([("web", "cart")]))
        async with session.post("/v1/traces", data=body, headers=PROTOBUF | {"Content-Encoding": "gzip"}) as answer:
            assert answer.status == 200

        assert await linked(session, "web", "cart") == 1


async def test_zipkin_spans_are_accepted_with_202(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        async with session.post("/api/v2/spans", json=zipkin_pair("search", "index")) as answer:
            assert (answer.status, await answer.read()) == (202, b"")

        assert await linked(session, "search", "index") == 1


async def test_the_same_batch_twice_counts_once(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        body = calls([("web", "cart")], count=3)
        for _ in range(2):
            async with session.post("/v1/traces", data=body, headers=PROTOBUF) as answer:
                assert answer.status == 200
        async with session.post("/v1/traces", data=calls([("web", "other")]), headers=PROTOBUF):
            pass
        await linked(session, "web", "other")

        assert await edge_calls(session, "web", "cart") == 3


async def test_spans_with_absurd_clocks_are_rejected_and_the_rest_is_taken(tmp_path: Path) -> None:
    request = ExportTraceServiceRequest.FromString(calls([("web", "cart")]))
    for years, name in ((-20, "past"), (20, "future")):
        request.MergeFromString(calls([("web", name)], at=time.time() + years * 365 * 86_400))
    async with bot(tmp_path) as (_, session):
        async with session.post("/v1/traces", data=request.SerializeToString(), headers=PROTOBUF) as answer:
            partial = ExportTraceServiceResponse.FromString(await answer.read()).partial_success

        assert partial.rejected_spans == 4
        assert partial.error_message
        assert await linked(session, "web", "cart") == 1
        found = await get(session, "/api/v1/services")
        assert [one["id"] for one in found["items"]] == ["cart", "web"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff\xff", PROTOBUF, 400),
        (b"{not json", JSON, 400),
        (b"[]", JSON, 400),
        (b"{}", {"Content-Type": "text/csv"}, 415),
        (b"{}", JSON | {"Content-Encoding": "br"}, 415),
        (b"not gzip", PROTOBUF | {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(bytes(BODY_LIMIT + 1)), PROTOBUF | {"Content-Encoding": "gzip"}, 413),
    ],
    ids=["broken protobuf", "broken json", "json array", "content type", "brotli", "no gzip", "gzip bomb"],
)
async def test_a_bad_body_is_refused_with_a_status_that_says_why(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int
) -> None:
    async with bot(tmp_path) as (_, session):
        async with session.post("/v1/traces", data=body, headers=headers) as answer:
            text = await answer.read()
            assert answer.status == status
            said = (
                json.loads(text)["message"]
                if answer.content_type == "application/json"
                else RpcStatus.FromString(text).message
            )
            assert len(said) > 10

        assert (await get(session, "/healthz"))["status"] == "ok"
        assert (await get(session, "/api/v1/services"))["items"] == []


async def test_a_body_over_the_limit_is_refused_by_its_declared_length(tmp_path: Path) -> None:
    async with (
        bot(tmp_path) as (_, session),
        session.post("/v1/traces", data=io.BytesIO(bytes(BODY_LIMIT + 1)), headers=PROTOBUF) as answer,
    ):
        assert answer.status == 413


@pytest.mark.parametrize("body", [b"{}", b"[{]", b"[1]", b"\xff", b'[{"id": 5}]' * 2])
async def test_a_bad_zipkin_body_is_a_problem_document(tmp_path: Path, body: bytes) -> None:
    async with bot(tmp_path) as (_, session), session.post("/api/v2/spans", data=body, headers=JSON) as answer:
        if answer.status == 202:  # an array with nothing usable in it: counted, not refused
            assert body == b"[1]"
            return
        assert (answer.status, answer.content_type) == (400, "application/problem+json")
        assert len((await answer.json(content_type=None))["detail"]) > 10


async def test_hostile_names_stay_inert_and_bounded(tmp_path: Path) -> None:
    hostile = [
        "<!channel>",
        "a\x00b\x1fc",
        "\u202egnp.exe",
        "x" * 10_000,
        "<script>alert(1)</script>",
        "名前",
        "a/b?c#d",
    ]
    async with bot(tmp_path) as (_, session):
        async with session.post(
            "/v1/traces", data=calls([("web", name) for name in hostile]), headers=PROTOBUF
        ) as answer:
            assert answer.status == 200

        async def all_there() -> bool:
            return bool((await get(session, "/api/v1/services"))["total"] == len(hostile) + 1)

        await until(all_there, "not every service appeared")
        for one in (await get(session, "/api/v1/services"))["items"]:
            assert 0 < len(one["id"]) <= 200
            assert one["id"].isprintable()
            path = URL(f"/api/v1/services/{quote(one['id'], safe='')}", encoded=True)
            async with session.get(path) as answer:
                assert (await answer.json())["id"] == one["id"]
