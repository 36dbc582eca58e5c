"""What people said, word by word: added to, never changed, so that who said what when stays known. One table for each kind of word."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import Table, func, insert, select

from bot.storage.database import Database

MAX_WORDS = 20_000
"""Words kept. People say them one by one, so more than that is no use but an accident."""

Word = TypeVar("Word", bound=NamedTuple)


class WordLog(Generic[Word]):
    """Reads and writes one table of one database, whose columns are the fields of `kind`."""

    def __init__(self, database: Database, table: Table, kind: type[Word]) -> None:
        self._database = database
        self._table = table
        self._kind = kind

    async def add(self, word: Word) -> bool:
        """Keep a word; False where there are too many already."""
        async with self._database.write() as connection:
            kept = (await connection.execute(select(func.count()).select_from(self._table))).scalar_one()
            if kept >= MAX_WORDS:
                return False
            await connection.execute(insert(self._table).values(word._asdict()))
        return True

    async def words(self) -> list[Word]:
        """Everything said, in order."""
        fields = [self._table.c[name] for name in self._kind._fields]
        wanted = select(*fields).order_by(self._table.c.id).limit(MAX_WORDS)
        async with self._database.read() as connection:
            return [self._kind(*row) for row in await connection.execute(wanted)]
