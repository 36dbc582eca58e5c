"""What people said about courtesy lines, on both databases."""

from __future__ import annotations

import pytest

from bot.courtesy_book import CourtesyBook
from bot.errors import BadRequest
from bot.model import Message
from bot.storage import word_log
from bot.storage.courtesy_store import CourtesyStore
from bot.storage.database import Database
from bot.storage.outbox_store import OutboxStore, put

MESSAGE = Message("x", ({"type": "section", "text": {"type": "mrkdwn", "text": "x"}},))


async def sent(database: Database, key: str, channel: str, identifier: str) -> None:
    async with database.write() as connection:
        await put(connection, key, channel, MESSAGE, 1.0)
    await OutboxStore(database).sent(key, 1, identifier, "1.5", 2.0)


async def test_a_channel_is_left_alone_by_its_id_its_name_and_as_messages_went_there(database: Database) -> None:
    await sent(database, "k1", "#team-pay", "C0000PAY1")
    book = CourtesyBook(CourtesyStore(database))
    await book.refresh()
    await book.mute("C0000PAY1", "privategroup", "ada (U1)", 10.0)
    await book.mute("C0000WEB1", "team-web", "bo (U2)", 11.0)

    assert [book.muted(one) for one in ("#team-pay", "C0000PAY1", "#team-web", "team-web", "C0000WEB1", "#other")] == [
        True, True, True, True, True, False,
    ]  # fmt: skip
    assert book.same("#team-pay", "C0000PAY1")
    assert book.same("team-web", "#team-web")
    assert not book.same("#team-pay", "#team-web")


async def test_what_was_said_outlives_a_restart_is_listed_and_can_be_taken_back(database: Database) -> None:
    book = CourtesyBook(CourtesyStore(database))
    await book.mute("C0000PAY1", "team-pay", "ada (U1)", 10.0)
    await book.mute("C0000WEB1", "team-web", "bo (U2)", 11.0)
    again = CourtesyBook(CourtesyStore(database))
    await again.refresh()

    assert [(one["channel"], one["by"]) for one in again.listed()] == [
        ("C0000WEB1", "bo (U2)"),
        ("C0000PAY1", "ada (U1)"),
    ]
    await again.unmute("C0000PAY1", "cy (U3)", 12.0)
    assert not again.muted("#team-pay")
    assert [(one.who, one.muted) for one in await CourtesyStore(database).words()] == [
        ("ada (U1)", True), ("bo (U2)", True), ("cy (U3)", False),
    ]  # fmt: skip


@pytest.mark.parametrize("channel", ["", "D0000ADA1"])
async def test_only_a_channel_can_be_left_alone(database: Database, channel: str) -> None:
    book = CourtesyBook(CourtesyStore(database))
    with pytest.raises(BadRequest, match="in the channel that is meant"):
        await book.mute(channel, "", "ada", 1.0)
    with pytest.raises(BadRequest):
        await book.unmute(channel, "ada", 1.0)


async def test_too_much_is_refused_in_words(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_log, "MAX_WORDS", 1)
    book = CourtesyBook(CourtesyStore(database))
    await book.mute("C0000PAY1", "team-pay", "ada", 1.0)
    with pytest.raises(BadRequest, match="Too much"):
        await book.mute("C0000WEB1", "team-web", "ada", 2.0)


async def test_where_a_message_stands_is_known_once_it_is_out(database: Database) -> None:
    store = CourtesyStore(database)
    async with database.write() as connection:
        await put(connection, "waits", "#ops", MESSAGE, 1.0)
    await sent(database, "out", "#ops", "C0000OPS1")

    assert [await store.place(key) for key in ("waits", "out", "never")] == [None, ("C0000OPS1", "1.5"), None]
    assert await store.channels() == [("#ops", "C0000OPS1")]
