"""What is carried over a restart besides counts."""

from __future__ import annotations

import json
import time
from pathlib import Path

import aiohttp

from bot.model import Layer
from bot.storage.database import Database
from bot.storage.memory_store import MemoryStore
from tests.kit.bots import bot, until

_IDENTITIES = (("10.0.0.1", "cart"), ("10.0.0.2", "payments"))


async def _post(session: aiohttp.ClientSession, path: str, *records: dict[str, object]) -> None:
    async with session.post(path, data="\n".join(map(json.dumps, records))) as answer:
        assert answer.status == 202, await answer.text()


def _owners() -> list[dict[str, object]]:
    start = time.time() - 600
    return [{"ip": ip, "service": name, "start": start, "end": None, "kind": "service"} for ip, name in _IDENTITIES]


def _record() -> dict[str, object]:
    now = time.time()
    return {"start": now, "end": now, "src_ip": "10.0.0.1", "src_port": 40_000, "dst_ip": "10.0.0.2", "dst_port": 443,
            "proto": "tcp", "bytes": 900, "packets": 9, "client": "src"}  # fmt: skip


async def _callers(session: aiohttp.ClientSession) -> list[str]:
    async with session.get("/api/v1/services/payments") as answer:
        return [edge["caller"] for edge in (await answer.json()).get("callers", ())]


async def test_flows_after_a_restart_belong_to_who_was_known_before_it(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await _post(session, "/ingest/identities", *_owners())
    async with bot(tmp_path) as (_, session):
        await _post(session, "/ingest/flows", _record())
        assert await until(lambda: _callers(session), "the edge on the map") == ["cart"]


async def test_a_memory_that_cannot_be_read_does_not_keep_the_bot_from_starting(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await _post(session, "/ingest/identities", *_owners())
    database = Database(f"sqlite:///{tmp_path}/bot.db")
    await MemoryStore(database).write(Layer.NETWORK, b"half a body", time.time())
    await database.close()

    async with bot(tmp_path) as (_, session):
        await _post(session, "/ingest/identities", *_owners())
        await _post(session, "/ingest/flows", _record())
        assert await until(lambda: _callers(session), "the edge on the map") == ["cart"]
