"""The map's history on disk: what was seen and counted as of any moment, and what the catalogue said then.

Comes in: minute windows (see `bot.storage.map_store`), which `roll_up` gathers into blocks. Goes out: columns for a moment
or a range. What is lost: the exact minute, once only the hour is kept, and the hour, once only the day is: a moment is then
moved back to the last full one, since what came after it must not show.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table, delete, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.counts import KnownEdge, Span, from_rows
from bot.model import Kind, Layer, Node
from bot.storage.blocks import DAY, HOUR, MINUTE, NOTHING_SEEN, Seen, block_to_counts, block_to_seen, fetch, seen_of
from bot.storage.database import Database
from bot.storage.details import from_json
from bot.storage.notes import Note, kept_from, noted
from bot.storage.retention import let_go
from bot.storage.roll_up import MINUTE_ROWS, RollUp
from bot.storage.tables import EdgeBlockRow, EdgeRow, EdgeSeenRow, PropertyChangeRow, ServiceRow

_edges: Table = EdgeRow.__table__  # type: ignore[attr-defined]
_blocks: Table = EdgeBlockRow.__table__  # type: ignore[attr-defined]
_seen: Table = EdgeSeenRow.__table__  # type: ignore[attr-defined]
_changes: Table = PropertyChangeRow.__table__  # type: ignore[attr-defined]
_services: Table = ServiceRow.__table__  # type: ignore[attr-defined]

_EDGES = "SELECT id, layer, caller, callee, first_seen, interval, CAST(detail AS TEXT) FROM edge"
_LAST_MINUTES = (
    "SELECT edge_id, MAX(start) FROM edge_window WHERE start >= ? AND start < ? AND calls > 0 GROUP BY edge_id"
)
_IDS_AT_ONCE = 500
_PAGE = 5_000
_BATCH = 1_000


class Past(NamedTuple):
    """The map as of `moment` (epoch s; a full minute, hour or day): what was counted lately, and when each edge was last seen
    before that (what was counted in a minute, was seen in it)."""

    moment: int
    seen: Seen
    spans: list[Span]


class HistoryStore:
    """Reads the history, and keeps it."""

    def __init__(self, database: Database, edge_retention: float = 30.0 * DAY) -> None:
        self.rolling = RollUp(database, edge_retention)
        self._database = database

    async def roll_up(self, now: float, minutes_until: float, hours_until: float, days_until: float = 0.0) -> int:
        """Make all blocks that are due at `now`, then let go of minutes, hours and days that start before the moments given
        (epoch s). Says how many blocks were made. Can be killed at any moment, and done again."""
        rolled = await self.rolling.roll(now)
        for seconds, until in ((MINUTE, minutes_until), (HOUR, hours_until), (DAY, days_until)):
            await let_go(self._database, seconds, until)
        await self._forget_properties(days_until)
        return rolled

    # -- the map ---------------------------------------------------------------------------------------------------------

    async def past(self, moment: float, lately: int) -> Past:
        """What was known at `moment`: nothing of minutes that had not ended by then. Counts go back `lately` seconds, or,
        where minutes are kept no longer, are those of the last full hour."""
        async with self._database.read() as connection:
            kept, notes = await kept_from(connection), await noted(connection)
            size = next((size for size in (MINUTE, HOUR) if moment >= kept[size]), DAY)
            at = int(moment // size) * size
            base, seen = await self._seen_at(connection, at)
            # Hours that ended before `base` may have had something added to them since.
            changed = [note.start for note in notes if note.seconds < DAY and note.start >= kept[MINUTE]]
            since = max(kept[MINUTE], min([base, *changed]))
            if size != MINUTE:
                return Past(at, seen, await self._coarse(connection, at - HOUR, HOUR) if size == HOUR else [])
            start = max(at - lately, kept[MINUTE])
            if since < start:
                rows = await fetch(connection, _LAST_MINUTES, since, start)
                seen = seen.merged(seen_of((edge, last + MINUTE) for edge, last in rows))
            return Past(at, seen, await self._minutes(connection, start, at, notes))

    async def total(self, since: float, until: float) -> list[Span]:
        """Counts over `[since, until)`, in the coarsest spans that lie wholly within it, as far as it is kept that finely."""
        async with self._database.read() as connection:
            kept, notes = await kept_from(connection), await noted(connection)
            stale = {
                (size, note.start // size * size) for note in notes for size in (HOUR, DAY) if size >= note.seconds
            }
            found: list[Span] = []
            start, end = int(-(-since // MINUTE)) * MINUTE, int(until // MINUTE) * MINUTE
            start = max(start, await self._first(connection, notes, end))
            while start < end:
                size = _step(start, end, kept, stale)
                if size == MINUTE:
                    upto = min(end, start // HOUR * HOUR + HOUR)
                    found += await self._minutes(connection, start, upto, notes)
                    start = upto
                else:
                    if start + size <= end and start % size == 0:
                        found += await self._coarse(connection, start, size)
                    start = start // size * size + size
            return found

    async def _first(self, connection: AsyncConnection, notes: Iterable[Note], none: int) -> int:
        """The start of the first day there is anything of, `none` where there is not: whoever asks from the year 1 on must not
        have every day since looked at."""
        starts = [note.start for note in notes]
        for size in (MINUTE, HOUR, DAY):
            first = await connection.scalar(select(func.min(_blocks.c.start)).where(_blocks.c.seconds == size))
            starts += [first] if first is not None else []
        return min(starts) // DAY * DAY if starts else none

    async def _seen_at(self, connection: AsyncConnection, at: int) -> tuple[int, Seen]:
        found = (
            await connection.execute(
                select(_seen.c.at, _seen.c.body).where(_seen.c.at <= at).order_by(_seen.c.at.desc()).limit(1)
            )
        ).one_or_none()
        if found is None:
            return 0, NOTHING_SEEN
        return found.at, await asyncio.to_thread(block_to_seen, found.body)

    async def _minutes(self, connection: AsyncConnection, start: int, end: int, notes: Iterable[Note]) -> list[Span]:
        """The minutes from `start` to `end`, in order: from their blocks, and from their rows where these are newer."""
        stale = sorted(note.start for note in notes if note.seconds == MINUTE and start <= note.start < end)
        bodies = [one for one in await self._bodies(connection, MINUTE, start, end) if one[0] not in stale]
        rows = [(minute, await fetch(connection, MINUTE_ROWS, minute)) for minute in stale]

        def read() -> list[Span]:
            spans = [Span(at, MINUTE, block_to_counts(body)) for at, body in bodies]
            spans += [Span(at, MINUTE, from_rows(found)) for at, found in rows]
            return sorted(spans, key=lambda span: span.start)

        return await asyncio.to_thread(read)

    async def _coarse(self, connection: AsyncConnection, start: int, size: int) -> list[Span]:
        bodies = await self._bodies(connection, size, start, start + size)
        return [Span(at, size, await asyncio.to_thread(block_to_counts, body)) for at, body in bodies]

    async def _bodies(self, connection: AsyncConnection, size: int, start: int, end: int) -> list[tuple[int, bytes]]:
        statement = (
            select(_blocks.c.start, _blocks.c.body)
            .where(_blocks.c.seconds == size, _blocks.c.start >= start, _blocks.c.start < end)
            .order_by(_blocks.c.start)
        )
        return [(row.start, row.body) for row in await connection.execute(statement)]

    async def edges(self, numbers: Sequence[int]) -> list[KnownEdge]:
        """The edges with these numbers, those that are gone left out."""
        rows: list[Sequence[Any]] = []
        async with self._database.read() as connection:
            for start in range(0, len(numbers), _IDS_AT_ONCE):
                batch = numbers[start : start + _IDS_AT_ONCE]
                places = ", ".join("?" * len(batch))
                rows += await fetch(connection, f"{_EDGES} WHERE id IN ({places})", *batch)
        return await asyncio.to_thread(lambda: [_known_edge(row) for row in rows])

    async def edges_after(self, number: int) -> list[KnownEdge]:
        """The next edges by their numbers, some thousands at most and none where there are no more: a whole map page by
        page, since nothing else gets on while a hundred thousand rows are read at once."""
        async with self._database.read() as connection:
            rows = await fetch(connection, f"{_EDGES} WHERE id > ? ORDER BY id LIMIT {_PAGE}", number)
        return await asyncio.to_thread(lambda: [_known_edge(row) for row in rows])

    async def count_edges(self) -> int:
        """How many edges there are."""
        async with self._database.read() as connection:
            return int(await connection.scalar(select(func.count()).select_from(_edges)) or 0)

    async def nodes(self) -> list[Node]:
        """Every service of which anything is kept."""
        names = ("id", "kind", "name", "namespace", "environment")
        async with self._database.read() as connection:
            rows = await connection.execute(select(*(_services.c[name] for name in names)))
            return [Node(row[0], Kind(row[1]), *row[2:]) for row in rows]

    # -- what the catalogue said -----------------------------------------------------------------------------------------

    async def properties(self, moment: float) -> dict[str, dict[str, Any]]:
        """Service -> what the catalogue said of it at `moment`; services it said nothing of are left out."""
        latest = (
            select(_changes.c.service, func.max(_changes.c.at).label("at"))
            .where(_changes.c.at <= moment)
            .group_by(_changes.c.service)
            .subquery()
        )
        same = (_changes.c.service == latest.c.service) & (_changes.c.at == latest.c.at)
        async with self._database.read() as connection:
            rows = await connection.execute(select(_changes.c.service, _changes.c.properties).join(latest, same))
            return {service: properties for service, properties in rows if properties}

    async def _forget_properties(self, before: float) -> None:
        """What was said before `before`, and something else since, by then."""
        newer = _changes.alias()
        replaced = exists().where(
            newer.c.service == _changes.c.service, newer.c.at > _changes.c.at, newer.c.at <= before
        )
        async with self._database.write() as connection:
            await connection.execute(delete(_changes).where(_changes.c.at < before, replaced))

    async def note_properties(self, now: float, said: Mapping[str, dict[str, Any]]) -> int:
        """Store what the catalogue says now, where that is something else than before; says for how many services."""
        before = await self.properties(now)
        rows = [
            {"service": service, "at": now, "properties": said.get(service, {})}
            for service in sorted(before.keys() | said.keys())
            if before.get(service, {}) != said.get(service, {})
        ]
        statement = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(_changes)
        statement = statement.on_conflict_do_update(
            index_elements=["service", "at"], set_={"properties": statement.excluded.properties}
        )
        async with self._database.write() as connection:
            for start in range(0, len(rows), _BATCH):
                await connection.execute(statement, rows[start : start + _BATCH])
        return len(rows)


def _step(start: int, end: int, kept: Mapping[int, int], stale: set[tuple[int, int]]) -> int:
    """The size of the spans to read from `start` on: the coarsest that fits and is up to date, or the finest kept."""
    finest = next((size for size in (MINUTE, HOUR) if start >= kept[size]), DAY)
    for size in (DAY, HOUR):
        if size > finest and start % size == 0 and start + size <= end and (size, start) not in stale:
            return size
    return finest


def _known_edge(row: Sequence[Any]) -> KnownEdge:
    number, layer, caller, callee, first_seen, interval, detail = row
    known = None if detail == "{}" else from_json(json.loads(detail))
    return KnownEdge(number, Layer(layer), (caller, callee), first_seen, interval, known)
