"""The database goes away while flows, metrics and traces come in, and comes back: late is fine, missing is not, doubled never."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.app import Running
from bot.model import Layer
from bot.storage.additions import add_counts
from tests.kit.bots import bot, get, until
from tests.kit.remote_write import HEADERS, write_request
from tests.kit.spans import PROTOBUF, calls

Sums = Counter[tuple[str, str, str]]
"""(layer, caller, callee) -> calls"""

SERVICES = [f"s{number}" for number in range(60)]
METRIC = "traces_service_graph_request_total"


class Sender:
    """Sends one round of all three layers at a time, and keeps count of what was accepted."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._counted: Counter[tuple[str, str]] = Counter()
        self._rounds = 0
        self.sent: Sums = Counter()

    async def begin(self) -> None:
        """Say who has which address, and where the counters stand."""
        owners = [
            {"ip": _ip(number), "service": service, "start": time.time() - 600, "end": None}
            for number, service in enumerate(SERVICES)
        ]
        await self._post("/ingest/identities", b"\n".join(json.dumps(one).encode() for one in owners), {}, 202)
        await self._metrics(0)

    async def round(self) -> None:
        """Each time on other edges as well, so that what is written takes new pages of the file."""
        self._rounds += 1
        count = self._rounds
        edges = [(SERVICES[at], SERVICES[(at + turn) % 60]) for turn in range(1, count + 1) for at in range(60)]
        flows = [_flow(SERVICES.index(caller), SERVICES.index(callee), count) for caller, callee in edges]
        await self._post("/ingest/flows", b"\n".join(json.dumps(one).encode() for one in flows), {}, 202)
        await self._post("/v1/traces", calls(edges, count=2), PROTOBUF, 200)
        await self._metrics(3)
        for caller, callee in edges:
            self.sent[Layer.NETWORK, caller, callee] += 1
            self.sent[Layer.TRACE, caller, callee] += 2

    async def _metrics(self, more: int) -> None:
        edges = [(caller, callee) for caller in SERVICES for callee in SERVICES[:10] if caller != callee]
        self._counted.update(dict.fromkeys(edges, more))
        samples = [
            (METRIC, {"client": caller, "server": callee}, time.time(), float(self._counted[caller, callee]))
            for caller, callee in edges
        ]
        await self._post("/api/v1/write", write_request(samples), HEADERS, 204)
        self.sent.update({(Layer.IPC, *edge): more for edge in edges})

    async def _post(self, path: str, body: bytes, headers: dict[str, str], status: int) -> None:
        async with self._session.post(path, data=body, headers=headers) as answer:
            assert answer.status == status, await answer.text()


def _ip(number: int) -> str:
    return f"10.0.0.{number}"


def _flow(caller: int, callee: int, number: int) -> dict[str, Any]:
    start = time.time() - 1
    return {"start": start, "end": start, "src_ip": _ip(caller), "src_port": 40_000 + number, "dst_ip": _ip(callee),
            "dst_port": 443, "proto": "tcp", "bytes": 10, "client": "src"}  # fmt: skip


def stored(folder: Path) -> Sums:
    """What the database has, straight from the file."""
    with closing(sqlite3.connect(folder / "bot.db")) as connection:
        rows = connection.execute(
            "SELECT layer, caller, callee, sum(calls) FROM (SELECT * FROM edge_window UNION ALL SELECT * FROM edge_late)"
            " JOIN edge ON edge.id = edge_id GROUP BY layer, caller, callee"
        ).fetchall()
    return Counter({(layer, caller, callee): count for layer, caller, callee, count in rows if count})


def shown(running: Running) -> Sums:
    """What the map in memory has."""
    found: Sums = Counter()
    for layer, windows in running.view.windows.items():
        for caller in SERVICES:
            for callee in SERVICES:
                if count := windows.calls((caller, callee)):
                    found[layer, caller, callee] = round(count)
    return found


# -- ways to be away -----------------------------------------------------------------------------------------------------


Away = Callable[[Running, Path, pytest.MonkeyPatch], AbstractAsyncContextManager[None]]


async def _pragma(running: Running, text: str) -> Any:
    """Run a PRAGMA on the bot's one writing connection."""
    async with running.ingest._store._database.write() as connection:
        return (await connection.exec_driver_sql(f"PRAGMA {text}")).scalar()


@asynccontextmanager
async def locked(running: Running, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Another process holds the file, and does not let go."""
    await _pragma(running, "busy_timeout=100")
    other = sqlite3.connect(folder / "bot.db", isolation_level=None, check_same_thread=False, timeout=10)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@asynccontextmanager
async def full(running: Running, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The disk is full: not a page more."""
    await _pragma(running, f"max_page_count={await _pragma(running, 'page_count')}")
    yield
    await _pragma(running, "max_page_count=1000000")


@asynccontextmanager
async def broken(running: Running, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The connection breaks in the middle of every transaction, when the counts have gone out."""

    async def breaks(*arguments: Any) -> None:
        await add_counts(*arguments)
        raise OperationalError("insert", {}, OSError("connection lost"))

    with patch.context() as patched:
        patched.setattr("bot.storage.map_store.add_counts", breaks)
        yield


@asynccontextmanager
async def doubtful(running: Running, folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The connection breaks while transactions are committed: every other one is stored all the same."""
    database, commits = running.ingest._store._database, count()
    write = database.write

    @asynccontextmanager
    async def breaks() -> AsyncIterator[AsyncConnection]:
        async with write() as connection:
            yield connection
            if next(commits) % 2:
                raise OperationalError("commit", {}, OSError("connection lost before"))
        raise OperationalError("commit", {}, OSError("connection lost after"))

    with patch.context() as patched:
        patched.setattr(database, "write", breaks)
        yield


@pytest.mark.parametrize("away", [locked, full, broken, doubtful])
async def test_what_comes_in_while_the_database_is_away_is_stored_once_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: Away
) -> None:
    async with bot(tmp_path) as (running, session):
        sender = Sender(session)
        await sender.begin()
        await sender.round()

        async def on_the_map() -> bool:
            return shown(running) == sender.sent

        async def written() -> bool:
            return running.ingest._pending_windows == 0 and stored(tmp_path) == sender.sent

        async def noticed() -> bool:
            async with session.get("/readyz") as answer:
                return answer.status == 503 and "write" in (await answer.json())["reasons"][0]

        await until(written, "the first round was not stored")
        async with away(running, tmp_path, monkeypatch):
            before = stored(tmp_path)
            for _ in range(5):
                await sender.round()
            await until(on_the_map, "the map must not wait for the database")
            await until(noticed, "that nothing is stored was not said")
            assert sum((stored(tmp_path) - before).values()) < sum((sender.sent - before).values())
        await sender.round()
        await until(on_the_map, "the last round is not on the map")
        await until(written, "what came in was not stored in full, or twice", 45)
        assert not any("pending" in reason for _, reason in running.ingest.drops())
    assert stored(tmp_path) == sender.sent

    async with bot(tmp_path) as (running, session):
        assert shown(running) == sender.sent
        assert (await get(session, "/readyz"))["status"] == "ready"


async def test_a_write_whose_commit_takes_longer_than_the_bot_waits_at_its_end_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk stalls: what was handed over is stored, only nobody knows yet."""
    committed = asyncio.Event()

    async with bot(tmp_path) as (running, session):
        sender = Sender(session)
        await sender.begin()
        write = running.ingest._store.write

        async def stalls(*arguments: Any) -> int:
            found = await write(*arguments)
            if not committed.is_set():
                committed.set()
                await asyncio.sleep(4)
            return found

        monkeypatch.setattr(running.ingest._store, "write", stalls)
        await sender.round()
        await asyncio.wait_for(committed.wait(), 10)
    assert stored(tmp_path) == sender.sent


async def test_a_bot_that_stops_while_the_database_is_away_stores_all_of_it_once_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with bot(tmp_path) as (running, session):
        sender = Sender(session)
        await sender.begin()
        await sender.round()

        async def on_the_map() -> bool:
            return shown(running) == sender.sent

        await until(on_the_map, "the round is not on the map")
        other = sqlite3.connect(tmp_path / "bot.db", isolation_level=None, check_same_thread=False, timeout=10)
        other.execute("BEGIN IMMEDIATE")
        await sender.round()
        await until(on_the_map, "the map must not wait for the database")
        asyncio.get_running_loop().call_later(5.0, other.execute, "ROLLBACK")  # later than loops are waited for
    other.close()
    assert stored(tmp_path) == sender.sent
