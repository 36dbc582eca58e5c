"""What was pushed to PagerDuty's service graph, on disk: written before each call and after, read before each look.

What is lost: dependencies that nobody has seen on the map for `KEPT_SECONDS`. They are somebody else's from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.pushed import MAX_PUSHED, Fate, Pair, Pushed
from bot.storage.database import Database
from bot.storage.dependency_tables import PushedDependencyRow

KEPT_SECONDS = 365 * 86_400.0
_BATCH = 500

_pushed: Table = PushedDependencyRow.__table__  # type: ignore[attr-defined]
_NAMES = tuple(field.name for field in fields(Pushed))


class DependencyStore:
    """Reads and writes one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[Pair, Pushed]:
        """Everything that is remembered."""
        wanted = select(*(_pushed.c[name] for name in _NAMES)).limit(MAX_PUSHED)
        async with self._database.read() as connection:
            rows = [_read(row._asdict()) for row in await connection.execute(wanted)]
        return {row.pair: row for row in rows}

    async def keep(self, rows: Iterable[Pushed]) -> None:
        """Remember these, in place of what was remembered of the same pairs; all of them or none."""
        made: Any = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(_pushed)
        said = {name: made.excluded[name] for name in _NAMES if name not in ("dependent", "supporting")}
        statement = made.on_conflict_do_update(index_elements=["dependent", "supporting"], set_=said)
        values = [asdict(row) | {"fate": row.fate.value} for row in rows]
        async with self._database.write() as connection:
            for start in range(0, len(values), _BATCH):
                await connection.execute(statement, values[start : start + _BATCH])

    async def forget(self, pairs: Collection[Pair]) -> None:
        """Know nothing of these any more."""
        async with self._database.write() as connection:
            for dependent, supporting in pairs:
                here = (_pushed.c.dependent == dependent) & (_pushed.c.supporting == supporting)
                await connection.execute(delete(_pushed).where(here))

    async def expire(self, now: float) -> None:
        """Let go of what nobody has seen on the map for long."""
        async with self._database.write() as connection:
            await connection.execute(delete(_pushed).where(_pushed.c.last_seen < now - KEPT_SECONDS))


def _read(row: dict[str, Any]) -> Pushed:
    return Pushed(**(row | {"fate": Fate(row["fate"])}))
