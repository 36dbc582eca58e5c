"""From a telemetry door to the map and the disk: late halves, corrections, a database that is away."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sqlalchemy.exc import OperationalError

from tests.kit.bots import bot, get, until
from tests.kit.spans import PROTOBUF, attribute, calls


def half(
    service: str, kind: Span.SpanKind.ValueType, trace: bytes, span: bytes, parent: bytes = b"", peer: str = ""
) -> bytes:
    """One span as an export request of its own."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.append(attribute("service.name", service))
    times = {"start_time_unix_nano": time.time_ns() - 1_000_000, "end_time_unix_nano": time.time_ns()}
    made = group.scope_spans.add().spans.add(
        trace_id=trace, span_id=span, parent_span_id=parent, kind=kind, name="x", **times
    )
    if peer:
        made.attributes.append(attribute("server.address", peer))
    return request.SerializeToString()


async def send(session: aiohttp.ClientSession, body: bytes) -> None:
    async with session.post("/v1/traces", data=body, headers=PROTOBUF) as answer:
        assert answer.status == 200, await answer.read()


async def callees(session: aiohttp.ClientSession, service: str) -> dict[str, float]:
    async with session.get(f"/api/v1/services/{service}") as answer:
        if answer.status != 200:
            return {}
        found = await answer.json()
    return {edge["callee"]: edge["layers"]["trace"]["calls"] for edge in found["callees"]}


async def test_a_late_server_half_moves_the_call_to_the_service_that_really_answered(tmp_path: Path) -> None:
    trace, client, server = secrets.token_bytes(16), secrets.token_bytes(8), secrets.token_bytes(8)

    async with bot(tmp_path) as (_, session):

        async def now(expected: dict[str, float]) -> bool:
            return await callees(session, "web") == expected

        await send(session, half("web", Span.SPAN_KIND_CLIENT, trace, client, peer="payments-vip"))
        await until(lambda: now({"payments-vip": 1}), "the client's word was not taken")
        await send(session, half("payments", Span.SPAN_KIND_SERVER, trace, server, client))
        await until(lambda: now({"payments": 1}), "the server's word did not replace it")
    async with bot(tmp_path) as (_, session):
        assert await callees(session, "web") == {"payments": 1}


async def test_a_correction_never_takes_an_edge_that_was_there_before(tmp_path: Path) -> None:
    trace, client, server = secrets.token_bytes(16), secrets.token_bytes(8), secrets.token_bytes(8)

    async with bot(tmp_path) as (running, session):

        async def now(expected: dict[str, float]) -> bool:
            return await callees(session, "web") == expected

        await send(session, calls([("web", "payments-vip")], at=time.time() - 7_200))
        await until(lambda: now({"payments-vip": 0}), "the old edge did not come")
        await send(session, half("web", Span.SPAN_KIND_CLIENT, trace, client, peer="payments-vip"))
        await until(lambda: now({"payments-vip": 1}), "the client's word was not taken")
        await send(session, half("payments", Span.SPAN_KIND_SERVER, trace, server, client))
        await until(lambda: now({"payments-vip": 0, "payments": 1}), "the call was not moved")

    assert running.view.graph.edge_count == 2


async def test_while_the_database_is_away_nothing_is_lost_and_nothing_is_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 3

    async with bot(tmp_path) as (running, session):
        write = running.ingest._store.write

        async def failing(*arguments: Any) -> int:
            nonlocal failures
            if failures:
                failures -= 1
                raise OperationalError("insert", {}, OSError("disk I/O error"))
            return await write(*arguments)

        monkeypatch.setattr(running.ingest._store, "write", failing)
        for _ in range(3):
            await send(session, calls([("web", "cart")], count=5))

        async def shown() -> bool:
            return await callees(session, "web") == {"cart": 15}

        await until(shown, "the map must not wait for the database")

        async def back() -> bool:
            return failures == 0

        await until(back, "the write was not tried again")
        assert "write" in (await get(session, "/readyz", status=503))["reasons"][0]
    async with bot(tmp_path) as (_, session):
        assert await callees(session, "web") == {"cart": 15}


async def test_two_writes_at_once_store_every_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bot(tmp_path) as (running, session):
        write = running.ingest._store.write

        async def slowly(*arguments: Any) -> int:
            await asyncio.sleep(0.05)
            return await write(*arguments)

        monkeypatch.setattr(running.ingest._store, "write", slowly)
        await send(session, calls([("web", "pay")], count=7))

        async def learnt() -> bool:
            return await callees(session, "web") == {"pay": 7}

        await until(learnt, "the calls were not learnt")
        await asyncio.gather(*(running.ingest.write(time.time()) for _ in range(4)))
    async with bot(tmp_path) as (_, session):
        assert await callees(session, "web") == {"pay": 7}


async def test_an_edge_taken_back_while_the_database_is_busy_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's half arrives while the client's word is being written: the correction goes with the next write."""
    trace, client, server = secrets.token_bytes(16), secrets.token_bytes(8), secrets.token_bytes(8)
    busy, free, written = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async with bot(tmp_path) as (running, session):
        write = running.ingest._store.write

        async def slow(*arguments: Any) -> int:
            if not busy.is_set():
                busy.set()
                await free.wait()
                found = await write(*arguments)
                written.set()
                return found
            return await write(*arguments)

        async def now(expected: dict[str, float]) -> bool:
            return await callees(session, "web") == expected

        monkeypatch.setattr(running.ingest._store, "write", slow)
        await send(session, half("web", Span.SPAN_KIND_CLIENT, trace, client, peer="payments-vip"))
        await asyncio.wait_for(busy.wait(), 10)
        await send(session, half("payments", Span.SPAN_KIND_SERVER, trace, server, client))
        await until(lambda: now({"payments": 1}), "the server's word did not replace the client's")
        free.set()
        await asyncio.wait_for(written.wait(), 10)
        await asyncio.sleep(0.2)  # what follows the write within the same round
    async with bot(tmp_path) as (_, session):
        assert await callees(session, "web") == {"payments": 1}
