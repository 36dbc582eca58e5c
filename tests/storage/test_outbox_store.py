"""The outbox on disk: what should be said, how far Slack has it, and who is at it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import SQLAlchemyError

from bot.model import Message, OutboxRow
from bot.storage.database import Database
from bot.storage.outbox_store import LEASE_SECONDS, OutboxStore, forget, put

NOW = 1_700_000_000.0


class Outbox(OutboxStore):
    """The store, with what the alert path does to it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.database = database

    async def put(self, key: str, text: str = "text", at: float = NOW, parent: str | None = None) -> None:
        async with self.database.write() as connection:
            await put(connection, key, "#incidents", Message(text, ({"type": "divider"},)), at, parent)

    async def row(self, key: str) -> OutboxRow:
        return next(row for row in await self.latest(1_000) if row.key == key)

    async def keys_due(self, at: float = NOW) -> list[str]:
        return [row.key for row in await self.due(at, 100)]


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


async def test_a_message_by_itself_is_forgotten_once_it_is_old_and_sent(outbox: Outbox) -> None:
    for key in ("share:a", "share:b", "share:waiting"):
        await outbox.post(key, "#maintenance", Message("plan", ()), NOW)
    await outbox.sent("share:a", 1, "C1", "1.0", NOW)
    await outbox.sent("share:b", 1, "C1", "2.0", NOW + 100)
    async with outbox.database.write() as connection:
        await forget(connection, (), NOW + 50)

    assert {row.key for row in await outbox.latest(10)} == {"share:b", "share:waiting"}


# -- writing ---------------------------------------------------------------------------------------------------------


async def test_a_message_is_due_as_soon_as_it_is_written(outbox: Outbox) -> None:
    await outbox.put("root")

    assert await outbox.due(NOW, 10) == [
        OutboxRow("root", "#incidents", Message("text", ({"type": "divider"},)), created_at=NOW)
    ]


async def test_a_new_wording_is_the_next_revision_of_the_same_row(outbox: Outbox) -> None:
    await outbox.put("root", "one")
    await outbox.put("root", "two", NOW + 5)
    [row] = await outbox.due(NOW, 10)

    assert (row.message.text, row.revision, row.sent_revision, row.created_at) == ("two", 2, 0, NOW)


async def test_a_message_exists_exactly_when_what_it_tells_does(outbox: Outbox) -> None:
    async def half() -> None:
        async with outbox.database.write() as connection:
            await put(connection, "root", "#incidents", Message("text", ()), NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await half()
    with pytest.raises((TypeError, SQLAlchemyError)):
        async with outbox.database.write() as connection:
            await put(connection, "root", "#incidents", Message("text", ({"type": object()},)), NOW)

    assert await outbox.latest(10) == []


async def test_due_messages_come_oldest_first_and_not_more_than_asked_for(outbox: Outbox) -> None:
    for number in range(5):
        await outbox.put(f"k{number}", at=NOW - number)
    await outbox.put("k0", "again", NOW + 50)

    assert [row.key for row in await outbox.due(NOW, 3)] == ["k0", "k1", "k2"]
    assert [row.key for row in await outbox.latest(2)] == ["k4", "k3"]


# -- threads ---------------------------------------------------------------------------------------------------------


async def test_a_thread_line_waits_until_its_root_is_out(outbox: Outbox) -> None:
    await outbox.put("line", parent="root")
    assert await outbox.keys_due() == []
    await outbox.put("root")
    assert await outbox.keys_due() == ["root"]
    await outbox.claim("root", NOW)
    assert await outbox.keys_due() == []
    await outbox.sent("root", 1, "C1", "1.1", NOW)
    [line] = await outbox.due(NOW, 10)

    assert (line.key, line.parent_key, line.parent_ts) == ("line", "root", "1.1")


async def test_a_root_that_is_out_does_not_hold_its_thread_back_when_it_is_edited_or_gives_up(outbox: Outbox) -> None:
    await outbox.put("root")
    await outbox.claim("root", NOW)
    await outbox.sent("root", 1, "C1", "1.1", NOW)
    await outbox.put("root", "edit")
    await outbox.put("line", parent="root")

    assert await outbox.keys_due() == ["root", "line"]
    await outbox.failed("root", "is_archived", NOW)
    assert await outbox.keys_due() == ["line"]


# -- claiming --------------------------------------------------------------------------------------------------------


async def test_of_many_workers_that_claim_a_row_at_once_exactly_one_has_it(url: str, outbox: Outbox) -> None:
    replicas = [Database(url) for _ in range(3)]
    stores = [OutboxStore(one) for one in replicas]
    for number in range(5):
        await outbox.put(f"k{number}")
        claims = await asyncio.gather(*(store.claim(f"k{number}", NOW) for store in [*stores, *stores]))
        assert sorted(claims) == [False] * 5 + [True]
    for one in replicas:
        await one.close()


async def test_a_claimed_row_is_nobody_elses_until_its_lease_runs_out(outbox: Outbox) -> None:
    await outbox.put("root")
    assert await outbox.claim("root", NOW) is True
    row = await outbox.row("root")

    assert (row.state, row.attempts, row.attempted_at) == ("sending", 1, NOW)
    assert await outbox.keys_due(NOW + LEASE_SECONDS) == []
    assert await outbox.claim("root", NOW + LEASE_SECONDS) is False
    assert await outbox.unsettled() == [row]
    late = NOW + LEASE_SECONDS + 1
    assert await outbox.keys_due(late) == ["root"]
    assert await outbox.claim("root", late) is True
    assert (await outbox.row("root")).attempts == 2
    assert await outbox.claim("root", late + 1) is False


@pytest.mark.parametrize("state", ["sent", "failed", "nowhere"])
async def test_a_row_that_is_settled_or_not_there_cannot_be_claimed(outbox: Outbox, state: str) -> None:
    await outbox.put("root")
    await outbox.claim("root", NOW)
    if state == "sent":
        await outbox.sent("root", 1, "C1", "1.1", NOW)
    else:
        await outbox.failed("root", "is_archived", NOW)

    assert await outbox.claim("nowhere" if state == "nowhere" else "root", NOW + 1_000) is False
    assert await outbox.keys_due(NOW + 1_000) == []


# -- settling --------------------------------------------------------------------------------------------------------


async def test_a_row_that_is_out_is_sent_with_where_it_is(outbox: Outbox) -> None:
    await outbox.put("root")
    await outbox.claim("root", NOW)
    await outbox.sent("root", 1, "C1", "1.1", NOW + 1)
    row = await outbox.row("root")

    assert (row.state, row.sent_revision, row.channel_id, row.ts, row.attempts) == ("sent", 1, "C1", "1.1", 0)
    assert await outbox.unsettled() == []
    assert await outbox.backlog() == (0, None)


async def test_a_wording_that_came_while_the_older_one_was_sent_is_due_again_as_an_edit(outbox: Outbox) -> None:
    await outbox.put("root", "one")
    await outbox.claim("root", NOW)
    await outbox.put("root", "two", NOW + 1)
    assert (await outbox.row("root")).state == "sending"
    assert await outbox.keys_due() == []
    await outbox.sent("root", 1, "C1", "1.1", NOW + 2)
    [row] = await outbox.due(NOW, 10)

    assert (row.message.text, row.revision, row.sent_revision, row.ts, row.state) == ("two", 2, 1, "1.1", "pending")
    await outbox.claim("root", NOW + 3)
    await outbox.sent("root", 2, "C1", "1.1", NOW + 4)
    assert (await outbox.row("root")).state == "sent"


async def test_a_row_put_off_is_due_when_its_time_comes(outbox: Outbox) -> None:
    await outbox.put("root")
    await outbox.claim("root", NOW)
    await outbox.retry("root", NOW + 30, "ratelimited" * 100)
    row = await outbox.row("root")

    assert (row.state, row.attempts) == ("pending", 1)
    assert await outbox.keys_due(NOW + 29) == []
    assert await outbox.keys_due(NOW + 30) == ["root"]


async def test_a_new_wording_does_not_jump_the_wait_slack_asked_for(outbox: Outbox) -> None:
    await outbox.put("root", "one")
    await outbox.claim("root", NOW)
    await outbox.retry("root", NOW + 30, "ratelimited")
    await outbox.put("root", "two", NOW + 1)

    assert await outbox.keys_due(NOW + 29) == []
    assert [row.message.text for row in await outbox.due(NOW + 30, 10)] == ["two"]


@pytest.mark.parametrize("settled", ["sent", "failed"])
async def test_a_new_wording_revives_a_settled_row_at_once(outbox: Outbox, settled: str) -> None:
    await outbox.put("root", "one")
    await outbox.claim("root", NOW)
    await outbox.retry("root", NOW + 500, "ratelimited")
    if settled == "sent":
        await outbox.sent("root", 1, "C1", "1.1", NOW)
    else:
        await outbox.failed("root", "is_archived", NOW)
    await outbox.put("root", "two", NOW + 1)

    assert [row.message.text for row in await outbox.due(NOW + 1, 10)] == ["two"]


async def test_what_waits_is_counted_with_the_oldest(outbox: Outbox) -> None:
    assert await outbox.backlog() == (0, None)
    for number, key in enumerate(("sent", "failed", "sending", "pending")):
        await outbox.put(key, at=NOW + number)
    for key in ("sent", "failed", "sending"):
        await outbox.claim(key, NOW)
    await outbox.sent("sent", 1, "C1", "1.1", NOW)
    await outbox.failed("failed", "is_archived", NOW)

    assert await outbox.backlog() == (2, NOW + 2)


async def test_settling_what_is_not_there_does_no_harm(outbox: Outbox) -> None:
    await outbox.sent("nowhere", 1, "C1", "1.1", NOW)
    await outbox.retry("nowhere", NOW, "why")
    await outbox.failed("nowhere", "why", NOW)

    assert await outbox.latest(10) == []
