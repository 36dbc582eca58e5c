"""Which channels want no courtesy lines, word by word, and which channel is which: names and ids as the outbox has seen them."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Table, select

from bot.storage.database import Database
from bot.storage.manners_tables import CourtesyWordRow
from bot.storage.tables import OutboxMessageRow
from bot.storage.word_log import WordLog

MAX_CHANNELS = 5_000

_words: Table = CourtesyWordRow.__table__  # type: ignore[attr-defined]
_outbox: Table = OutboxMessageRow.__table__  # type: ignore[attr-defined]


class CourtesyWord(NamedTuple):
    """Somebody said that a channel is to be left alone, or no longer. `channel` is its Slack id, `name` how it is called ("" where
    Slack does not say), `at` in epoch seconds, `who` as a person would write it."""

    at: float
    channel: str
    name: str
    muted: bool
    who: str


class CourtesyStore(WordLog[CourtesyWord]):
    """Reads and writes one database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, _words, CourtesyWord)

    async def channels(self) -> list[tuple[str, str]]:
        """(channel as it is written, its Slack id) of all that messages went to."""
        known = _outbox.c.channel_id.is_not(None) & (_outbox.c.channel != _outbox.c.channel_id)
        wanted = select(_outbox.c.channel, _outbox.c.channel_id).where(known).distinct().limit(MAX_CHANNELS)
        async with self._database.read() as connection:
            return [(row[0], row[1]) for row in await connection.execute(wanted)]

    async def place(self, key: str) -> tuple[str, str] | None:
        """(channel's id, ts) of the message with this key; None where it is not out."""
        wanted = select(_outbox.c.channel_id, _outbox.c.ts).where(_outbox.c.key == key, _outbox.c.ts.is_not(None))
        async with self._database.read() as connection:
            row = (await connection.execute(wanted)).first()
            return (str(row[0]), str(row[1])) if row is not None else None
