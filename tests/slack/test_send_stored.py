"""The sender on the outbox that is on disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.model import OutboxRow
from bot.storage.database import Database
from bot.storage.outbox_store import OutboxStore, put
from tests.slack.bench import Bench, message, open_bench


class Stored:
    """A bench on a database file."""

    def __init__(self, bench: Bench, database: Database) -> None:
        self.bench, self.database, self.store = bench, database, OutboxStore(database)
        bench.outbox = self.store  # type: ignore[assignment]

    async def put(self, key: str, text: str, channel: str = "incidents", parent: str | None = None) -> None:
        async with self.database.write() as connection:
            await put(connection, key, channel, message(text), time.time(), parent)

    async def rows(self) -> list[OutboxRow]:
        return await self.store.latest(1_000)

    async def all_sent(self, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while any(row.state != "sent" for row in await self.rows()):
            assert time.monotonic() < deadline, "it never came to that"
            await asyncio.sleep(0.02)


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Stored]:
    database = Database(f"sqlite:///{tmp_path / 'bot.db'}")
    await database.upgrade()
    async with open_bench() as bench:
        yield Stored(bench, database)
    await database.close()


async def test_a_root_its_thread_and_its_changes_reach_slack(stored: Stored) -> None:
    await stored.put("root", "payments is failing")
    await stored.put("line", "checkout is now failing", parent="root")
    async with stored.bench.running() as worker:
        await stored.all_sent()
        await stored.put("root", "payments recovered")
        worker.wake()
        await stored.all_sent()
    [root] = stored.bench.slack.messages("incidents")

    assert (root.text, root.edits, [reply.text for reply in root.replies]) == (
        "payments recovered",
        1,
        ["checkout is now failing"],
    )


async def test_failures_before_and_after_acceptance_end_in_one_message_each(stored: Stored) -> None:
    for number, kind in enumerate(("fatal_error", "http_503", "drop", "timeout")):
        stored.bench.slack.fail_next("chat.postMessage", kind, accepted=number % 2 == 0)
        await stored.put(f"k{number}", f"alert {number}")
    async with stored.bench.running():
        await stored.all_sent()

    assert stored.bench.texts() == [f"alert {number}" for number in range(4)]


async def test_killed_again_and_again_every_message_is_there_once_and_in_order(stored: Stored) -> None:
    for number in range(20):
        await stored.put(f"k{number}", f"alert {number}")
    for life in range(12):
        async with stored.bench.running(sole_worker=True):
            await asyncio.sleep(0.01 * (life % 6))
    async with stored.bench.running(sole_worker=True):
        await stored.all_sent(20.0)

    assert stored.bench.texts() == [f"alert {number}" for number in range(20)]


async def test_two_replicas_send_every_message_once(stored: Stored) -> None:
    for number in range(20):
        await stored.put(f"k{number}", f"alert {number}", ("incidents", "ops")[number % 2])
    async with stored.bench.running(), stored.bench.running():
        await stored.all_sent()

    assert sorted(stored.bench.texts("incidents") + stored.bench.texts("ops")) == sorted(
        f"alert {number}" for number in range(20)
    )
