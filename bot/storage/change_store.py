"""Change events on disk, each once, whoever repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.model import Change
from bot.storage.database import Database
from bot.storage.tables import ChangeRow

_changes: Table = ChangeRow.__table__  # type: ignore[attr-defined]
_COLUMNS = ("id", "at", "service", "kind", "title", "link", "author")
_BATCH = 1_000


class ChangeStore:
    """Works one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, changes: Sequence[Change]) -> None:
        """Store changes, all or none of them; those that are there stay as they are."""
        rows = [asdict(change) for change in changes]
        async with self._database.write() as connection:
            dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
            statement = dialect.insert(_changes).on_conflict_do_nothing(index_elements=["id"])
            for start in range(0, len(rows), _BATCH):
                await connection.execute(statement, rows[start : start + _BATCH])

    async def latest(self, since: float, limit: int) -> list[Change]:
        """The latest changes from `since` on (epoch s), the earliest first."""
        wanted = select(*(_changes.c[name] for name in _COLUMNS)).where(_changes.c.at >= since)
        wanted = wanted.order_by(_changes.c.at.desc(), _changes.c.id).limit(limit)
        async with self._database.read() as connection:
            return [Change(*row) for row in await connection.execute(wanted)][::-1]

    async def expire(self, before: float) -> None:
        """Delete what happened before `before` (epoch s)."""
        async with self._database.write() as connection:
            await connection.execute(delete(_changes).where(_changes.c.at < before))
