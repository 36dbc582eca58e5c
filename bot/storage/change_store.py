"""Change events on disk: added once however often they are told of, read by service and time, let go of by age and number."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row, Table, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.model import Change, ChangeKind
from bot.storage.database import Database
from bot.storage.tables import ChangeEventRow

MAX_STORED = 1_000_000
"""Most changes kept; beyond it the oldest go, however young they are."""

_changes: Table = ChangeEventRow.__table__  # type: ignore[attr-defined]
_READ = ("id", "at", "service", "kind", "title", "source", "change_id", "link", "author")
_BATCH = 500  # rows of ten values: PostgreSQL takes 32,767 in one statement
_AT_ONCE = 10_000

Key = tuple[str, str]
"""(source, id)"""


class StoredChange(NamedTuple):
    """A change with its row number: `(change.at, number)` is its place among all others."""

    number: int
    change: Change


class ChangeStore:
    """Reads and writes one database."""

    def __init__(self, database: Database, most: int = MAX_STORED) -> None:
        self._database = database
        self._most = most
        insert: Any = sqlite.insert if database.is_sqlite else postgresql.insert
        self._insert = insert(_changes).on_conflict_do_nothing(index_elements=["source", "change_id"])

    async def add(self, changes: Collection[Change], now: float) -> set[Key]:
        """Store changes, all or none; gives those that were not known. The first telling of a change stands."""
        # In one order, so that two who tell of the same changes at once wait for each other instead of blocking each other.
        ordered = sorted(changes, key=lambda one: (one.source, one.id))
        new: set[Key] = set()
        if not ordered:
            return new
        statement = self._insert.returning(_changes.c.source, _changes.c.change_id)
        async with self._database.write() as connection:
            for start in range(0, len(ordered), _BATCH):
                rows = [_row(one, now) for one in ordered[start : start + _BATCH]]
                found = await connection.execute(statement, rows)
                new.update((source, identifier) for source, identifier in found)
        return new

    async def page(
        self,
        services: Sequence[str],
        since: float,
        until: float,
        limit: int,
        before: tuple[float, int] | None = None,
    ) -> list[StoredChange]:
        """The latest changes from `since` to `until` (epoch s, both included), newest first: of these services, or of all
        where none is named; those before the place `before` (see `StoredChange`)."""
        wanted = select(*(_changes.c[name] for name in _READ)).where(_changes.c.at.between(since, until))
        if services:
            wanted = wanted.where(_changes.c.service.in_(services))
        if before is not None:
            at, number = before
            wanted = wanted.where(or_(_changes.c.at < at, and_(_changes.c.at == at, _changes.c.id < number)))
        wanted = wanted.order_by(_changes.c.at.desc(), _changes.c.id.desc()).limit(limit)
        async with self._database.read() as connection:
            return [_stored(row) for row in await connection.execute(wanted)]

    async def rename(self, names: Mapping[str, str]) -> None:
        """Put the changes of services that have another id by now under that one: old id -> new id."""
        async with self._database.write() as connection:
            for old, new in sorted(names.items()):
                await connection.execute(update(_changes).where(_changes.c.service == old).values(service=new))

    async def sources(self) -> dict[str, dict[str, Any]]:
        """Source -> when it last told of a change, and how many are kept: `{"last": epoch s, "changes": n}`."""
        statement = select(_changes.c.source, func.max(_changes.c.received_at), func.count()).group_by(
            _changes.c.source
        )
        async with self._database.read() as connection:
            rows = await connection.execute(statement)
            return {source: {"last": last, "changes": count} for source, last, count in rows}

    async def expire(self, before: float) -> tuple[int, int]:
        """Let go of changes before `before` (epoch s), and of the oldest beyond the cap; says how many of each. In small
        transactions."""
        old = await self._delete_oldest(_AT_ONCE, before)
        async with self._database.read() as connection:
            over = int(await connection.scalar(select(func.count()).select_from(_changes)) or 0) - self._most
        return old, await self._delete_oldest(over, float("inf"), once=True) if over > 0 else 0

    async def _delete_oldest(self, count: int, before: float, *, once: bool = False) -> int:
        gone = 0
        oldest = select(_changes.c.id).where(_changes.c.at < before).order_by(_changes.c.at, _changes.c.id).limit(count)
        while True:
            async with self._database.write() as connection:
                deleted = (await connection.execute(delete(_changes).where(_changes.c.id.in_(oldest)))).rowcount
            gone += deleted
            if once or deleted < count:
                return gone


def _row(change: Change, now: float) -> dict[str, Any]:
    return {
        "source": change.source,
        "change_id": change.id,
        "at": change.at,
        "received_at": now,
        "service": change.service,
        "kind": change.kind.value,
        "title": change.title,
        "link": change.link,
        "author": change.author,
    }


def _stored(row: Row[Any]) -> StoredChange:
    change = Change(
        at=row.at,
        service=row.service,
        kind=ChangeKind(row.kind),
        title=row.title,
        source=row.source,
        id=row.change_id,
        link=row.link,
        author=row.author,
    )
    return StoredChange(row.id, change)
