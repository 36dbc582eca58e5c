"""Digests on both databases: each day once with its message, answers that stand until they are taken back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.errors import BadRequest
from bot.model import Message, Subscription
from bot.storage.database import Database
from bot.storage.digest_store import ANSWER_SECONDS, MAX_IN_CHANNEL, TOLD_SECONDS, DigestStore, LineAnswer
from bot.storage.outbox_store import OutboxStore, forget

NOW = 1_795_400_000.0
WANTED = Subscription(0, "C1", "U1", NOW, 540, "Europe/Berlin", team="größer 🔴")
MESSAGE = Message("new: a → b", ({"type": "divider"},))


@pytest.fixture
def store(database: Database) -> DigestStore:
    return DigestStore(database)


async def test_a_subscription_comes_back_as_it_was_and_is_one_however_often_it_is_asked_for(store: DigestStore) -> None:
    kept = await store.subscribe(WANTED)
    again = await asyncio.gather(*(store.subscribe(replace(WANTED, created_at=NOW + 9)) for _ in range(4)))

    assert kept == replace(WANTED, id=kept.id)
    assert again == [kept] * 4
    assert await store.subscriptions() == await store.subscriptions("C1") == [kept]
    assert await store.subscriptions("C2") == []


async def test_only_its_own_channel_ends_a_subscription(store: DigestStore) -> None:
    kept = await store.subscribe(WANTED)

    assert not await store.unsubscribe("C2", kept.id)
    assert await store.unsubscribe("C1", kept.id)
    assert not await store.unsubscribe("C1", kept.id)


async def test_a_channel_has_so_many_digests_and_no_more(store: DigestStore) -> None:
    for minute in range(MAX_IN_CHANNEL):
        await store.subscribe(replace(WANTED, minute=minute))
    with pytest.raises(BadRequest, match="as many as there may be"):
        await store.subscribe(WANTED)


async def test_a_day_is_sent_once_however_many_processes_are_at_it(store: DigestStore, url: str) -> None:
    kept = await store.subscribe(WANTED)
    others = [Database(url) for _ in range(3)]
    stores = [store, *(DigestStore(one) for one in others)]
    try:
        won = await asyncio.gather(*(one.settle(kept, "2026-11-23", NOW, MESSAGE, NOW) for one in stores))
    finally:
        for one in others:
            await one.close()

    assert sorted(won) == [False, False, False, True]
    (row,) = await OutboxStore(store._database).due(NOW, 10)
    assert (row.key, row.channel, row.message, row.revision) == (f"digest:{kept.id}:2026-11-23", "C1", MESSAGE, 1)


async def test_an_earlier_day_is_settled_already_when_the_clock_comes_back(store: DigestStore) -> None:
    kept = await store.subscribe(WANTED)
    assert await store.settle(kept, "2026-12-01", NOW, MESSAGE, NOW)
    assert not await store.settle(kept, "2026-11-24", NOW, MESSAGE, NOW)


async def test_a_missed_day_says_nothing_and_leaves_its_period_to_the_next(store: DigestStore) -> None:
    kept = await store.subscribe(WANTED)
    await store.settle(kept, "2026-11-22", NOW - 86_400, None, NOW)
    assert await store.settle(kept, "2026-11-23", None, None, NOW)

    (found,) = await store.subscriptions()
    assert (found.last_date, found.told_until) == ("2026-11-23", NOW - 86_400)
    assert await OutboxStore(store._database).due(NOW, 10) == []


async def test_a_digest_that_was_ended_meanwhile_is_not_sent(store: DigestStore) -> None:
    kept = await store.subscribe(WANTED)
    await store.unsubscribe("C1", kept.id)

    assert not await store.settle(kept, "2026-11-23", NOW, MESSAGE, NOW)
    assert await OutboxStore(store._database).due(NOW, 10) == []


async def test_an_answer_stands_until_it_is_taken_back_and_told_twice_it_is_one(store: DigestStore) -> None:
    line = "new\nshop\ncart"
    clicks = [store.answer("C1", line, LineAnswer("expected", f"U{number}", NOW)) for number in range(4)]
    assert sorted(await asyncio.gather(*clicks)) == [False, False, False, True]
    assert (await store.answers("C1"))[line].answer == "expected"
    assert await store.answers("C2") == {}

    assert await store.answer("C1", line, LineAnswer("open", "U9", NOW + 1))
    assert await store.answers("C1") == {line: LineAnswer("open", "U9", NOW + 1)}


async def test_what_is_no_answer_is_refused(store: DigestStore) -> None:
    with pytest.raises(BadRequest):
        await store.answer("C1", "new\na\nb", LineAnswer("perhaps", "U1", NOW))


async def test_a_digest_that_was_sent_long_ago_leaves_the_outbox(store: DigestStore) -> None:
    kept = await store.subscribe(WANTED)
    await store.settle(kept, "2026-11-23", NOW, MESSAGE, NOW)
    outbox = OutboxStore(store._database)
    await outbox.sent(f"digest:{kept.id}:2026-11-23", 1, "C1", "1.0", NOW)
    for before, left in ((NOW - 1, 1), (NOW + 1, 0)):
        async with store._database.write() as connection:
            await forget(connection, (), before)
        assert len(await outbox.latest(10)) == left


async def test_what_was_told_is_stored_with_its_day_or_not_at_all_and_goes_with_the_subscription(
    store: DigestStore,
) -> None:
    kept = await store.subscribe(WANTED)
    assert await store.settle(kept, "2026-11-23", NOW, MESSAGE, NOW, {"a\nb": "new", "a\nc": "new"})
    assert await store.settle(kept, "2026-11-24", NOW, MESSAGE, NOW, {"a\nb": "gone"})
    assert not await store.settle(kept, "2026-11-24", NOW, MESSAGE, NOW, {"a\nd": "new"})
    assert await store.told(kept.id) == {"a\nb": "gone", "a\nc": "new"}
    assert await store.told(kept.id + 1) == {}

    await store.unsubscribe("C1", kept.id)
    assert await store.told(kept.id) == {}


async def test_what_was_told_and_answered_long_ago_is_let_go_of(store: DigestStore) -> None:
    kept = await store.subscribe(WANTED)
    await store.settle(kept, "2026-08-01", NOW, None, NOW - TOLD_SECONDS - 1, {"a\nb": "new"})
    await store.settle(kept, "2026-11-23", NOW, None, NOW, {"a\nc": "new"})
    await store.answer("C1", "new\na\nb", LineAnswer("expected", "ann", NOW - ANSWER_SECONDS - 1))
    await store.answer("C1", "new\na\nc", LineAnswer("expected", "ann", NOW))
    await store.expire(NOW)

    assert await store.told(kept.id) == {"a\nc": "new"}
    assert set(await store.answers("C1")) == {"new\na\nc"}


async def test_a_digest_that_slack_has_is_put_into_other_words_and_nothing_else_is(store: DigestStore) -> None:
    kept = await store.subscribe(WANTED)
    await store.settle(kept, "2026-11-23", NOW, MESSAGE, NOW)
    outbox = OutboxStore(store._database)
    await outbox.sent(f"digest:{kept.id}:2026-11-23", 1, "C77", "1.0", NOW)

    assert await store.revise("C77", "1.0", lambda shown: shown, NOW) == "C1"
    assert await outbox.due(NOW, 10) == []
    assert await store.revise("C77", "1.0", lambda shown: Message(f"{shown.text}!", shown.blocks), NOW) == "C1"
    (row,) = await outbox.due(NOW, 10)
    assert (row.message.text, row.revision, row.ts) == (f"{MESSAGE.text}!", 2, "1.0")
    assert await store.revise("C77", "2.0", lambda shown: MESSAGE, NOW) == ""
