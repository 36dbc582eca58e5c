"""Bodies that never end, come by drops, or are many at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from bot.app import Running
from bot.web import body
from tests.kit.bots import bot, get

HEAD = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


async def connect(running: Running, path: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose body has begun."""
    host, _, port = running.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HEAD % path)
    return reader, writer


async def send(writer: asyncio.StreamWriter, part: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(part), part))
    await writer.drain()


async def status(reader: asyncio.StreamReader) -> int:
    line = await asyncio.wait_for(reader.readline(), 10)
    return int(line.split()[1])


@pytest.mark.parametrize("path", [b"/ingest/flows", b"/ingest/identities", b"/webhooks/alertmanager"])
async def test_a_body_that_never_ends_is_given_up_so_that_its_sender_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: bytes
) -> None:
    monkeypatch.setattr(body, "PATIENCE_SECONDS", 0.3)
    async with bot(tmp_path) as (running, _):
        reader, writer = await connect(running, path)
        await send(writer, b"x")
        assert await status(reader) == 503
        writer.close()


async def test_a_body_may_take_its_time_as_long_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(body, "SLOWEST", 10.0)
    async with bot(tmp_path) as (running, _):
        reader, writer = await connect(running, b"/ingest/flows")
        for _ in range(4):
            await send(writer, b" " * 20)
            await asyncio.sleep(0.2)
        await send(writer, b"")
        assert await status(reader) == 202
        writer.close()


async def test_bodies_that_stop_before_their_end_hold_only_so_much_and_no_alert_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "MAX_READING", 100_000)
    async with bot(tmp_path) as (running, session):
        held = [await connect(running, b"/ingest/flows") for _ in range(3)]
        for _, writer in held[:2]:
            await send(writer, b" " * 45_000)
        await asyncio.sleep(0.2)
        await send(held[2][1], b" " * 45_000)
        assert await status(held[2][0]) == 503

        alert = json.dumps({"alerts": [], "pad": "x" * 20_000})
        async with session.post("/webhooks/alertmanager", data=alert) as answer:
            assert answer.status == 401, "read, and refused for what it is"
        for _, writer in held:
            writer.close()

        async def taken() -> int:
            async with session.post("/ingest/flows", data=b" " * 90_000) as answer:
                return answer.status

        for _ in range(50):
            if await taken() == 202:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail("what was held was not let go")
        assert (await get(session, "/readyz"))["status"] == "ready"


async def test_a_sender_that_goes_away_in_the_middle_is_no_error(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        _, writer = await connect(running, b"/ingest/flows")
        await send(writer, b"x" * 1_000)
        writer.transport.abort()
        await asyncio.sleep(0.2)
        async with session.post("/ingest/flows", data=b"") as answer:
            assert answer.status == 202
    assert isinstance(session, aiohttp.ClientSession)
