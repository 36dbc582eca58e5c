"""The shop's spans, as they arrive at an OTLP endpoint that is not the bot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.kit.shop import Shop
from tests.kit.sink import Request, sink

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
ERROR = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """What matters of one span, whatever it was written in."""

    service: str
    kind: int
    trace: str
    span: str
    parent: str
    status: int
    attributes: dict[str, Any]


def protobuf_spans(requests: list[Request]) -> list[Seen]:
    found = []
    for request in requests:
        for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            named = {one.key: one.value.string_value for one in resource.resource.attributes}
            found += [
                Seen(
                    named["service.name"], span.kind, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                    span.status.code, {one.key: one.value.string_value for one in span.attributes},
                )
                for scope in resource.scope_spans for span in scope.spans
            ]  # fmt: skip
    return found


def json_spans(requests: list[Request]) -> list[Seen]:
    found = []
    for request in requests:
        for resource in request.json()["resourceSpans"]:
            named = {one["key"]: one["value"].get("stringValue") for one in resource["resource"]["attributes"]}
            found += [
                Seen(
                    named["service.name"], span["kind"], span["traceId"], span["spanId"], span.get("parentSpanId", ""),
                    span["status"].get("code", 0), {one["key"]: one["value"]["stringValue"] for one in span.get("attributes", [])},
                )
                for scope in resource["scopeSpans"] for span in scope["spans"]
            ]  # fmt: skip
    return found


READERS = {"protobuf": protobuf_spans, "json": json_spans}


async def spans_of_orders(encoding: Literal["protobuf", "json"], count: int, *, broken: bool = False) -> list[Seen]:
    async with sink() as receiver, Shop(receiver.url, encoding).running() as shop:
        shop.broken = broken
        await shop.order(count)
        await shop.flush()
        return READERS[encoding](receiver.received)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
async def test_every_call_has_both_its_halves_and_the_database_one(encoding: Literal["protobuf", "json"]) -> None:
    spans = await spans_of_orders(encoding, 3)
    by_id = {span.span: span for span in spans}
    calls = Counter(
        (by_id[span.parent].service, span.service) for span in spans if span.kind in (SERVER, CONSUMER) and span.parent
    )

    assert calls == {("web", "checkout"): 3, ("checkout", "payments"): 3, ("checkout", "shipping"): 3}
    assert Counter(span.service for span in spans if span.kind == SERVER and not span.parent) == {"web": 3}
    queries = [span for span in spans if span.kind == CLIENT and "db.system.name" in span.attributes]
    assert {(span.service, span.attributes["server.address"]) for span in queries} == {("payments", "payments-db")}
    assert len({span.trace for span in spans}) == 3
    assert {(len(span.trace), len(span.span)) for span in spans} == {(32, 16)}


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
async def test_a_broken_database_fails_every_hop_up_to_the_door(encoding: Literal["protobuf", "json"]) -> None:
    spans = await spans_of_orders(encoding, 1, broken=True)
    failed = {(span.service, span.kind) for span in spans if span.status == ERROR}

    assert failed == {(name, kind) for name in ("web", "checkout", "payments") for kind in (SERVER, CLIENT)}


async def test_what_is_unsent_when_the_shop_closes_is_sent_then() -> None:
    async with sink() as receiver:
        async with Shop(receiver.url).running() as shop:
            await shop.order()

        spans = protobuf_spans(receiver.received)

    assert {span.service for span in spans} == {"web", "checkout", "payments", "shipping"}


async def test_requests_are_what_the_official_exporter_makes_them() -> None:
    async with sink() as receiver, Shop(receiver.url).running() as shop:
        await shop.order()
        await shop.flush()

    assert {request.path for request in receiver.received} == {"/v1/traces"}
    headers = receiver.received[0].headers
    assert (headers["content-type"], headers["content-encoding"]) == ("application/x-protobuf", "gzip")
    assert headers["user-agent"].startswith("OTel-OTLP-Exporter-Python/")


async def test_the_shop_counts_for_prometheus() -> None:
    async with sink() as receiver, Shop(receiver.url).running() as shop, aiohttp.ClientSession(shop.url) as session:
        await shop.order(2)
        shop.broken = True
        await shop.order(3)
        async with session.get("/metrics") as answer:
            text = await answer.text()

    assert 'shop_requests_total{service="payments"} 5' in text
    assert 'shop_failures_total{service="payments"} 3' in text


async def test_the_shop_goes_on_selling_where_nobody_takes_its_json() -> None:
    async with Shop("http://127.0.0.1:1", "json").running() as shop:
        await shop.order(2)
        await shop.flush()

        assert (shop.orders, shop.failures) == (2, 0)
