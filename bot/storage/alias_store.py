"""What people said about names, word by word: added to, never changed, so that who said what when stays known."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Table, func, insert, select

from bot.storage.database import Database
from bot.storage.tables import AliasWordRow

MAX_WORDS = 20_000
"""Words kept. People say them one by one, so more than that is no use but an accident."""

SAME, APART, FORGOTTEN = "same", "apart", "forgotten"

_words: Table = AliasWordRow.__table__  # type: ignore[attr-defined]


class AliasWord(NamedTuple):
    """`verdict`: `same` (the alias is this service's other name), `apart` (it is not), `forgotten` (nothing is said of it any
    more). `at` in epoch seconds; `who` as a person would write it."""

    at: float
    verdict: str
    alias: str
    service: str
    who: str


class AliasStore:
    """Reads and writes one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, word: AliasWord) -> bool:
        """Keep a word; False where there are too many already."""
        async with self._database.write() as connection:
            kept = (await connection.execute(select(func.count()).select_from(_words))).scalar_one()
            if kept >= MAX_WORDS:
                return False
            await connection.execute(insert(_words).values(word._asdict()))
        return True

    async def words(self) -> list[AliasWord]:
        """Everything said, in order."""
        wanted = select(*(_words.c[name] for name in AliasWord._fields)).order_by(_words.c.id).limit(MAX_WORDS)
        async with self._database.read() as connection:
            return [AliasWord(*row) for row in await connection.execute(wanted)]
