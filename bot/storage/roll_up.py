"""Rolls the minute windows up into blocks of minutes, hours and days, and lets go of what is too old.

Comes in: minute rows, at any time and late ones too, each write leaving a note of the minutes it changed. Goes out: one
block for each closed minute, hour and day. What is lost: counts for days that are kept no longer, counted in `dropped`.

A note is a row of `unrolled` with a token that every change replaces. A block is made from what a look at the database
finds *after* its note was read, and stored together with the note's removal, if the note is still the same: so a block
either says what its note stood for, or is not stored and made again. Nothing has to be locked meanwhile, a kill at any
moment leaves the note, and doing it again gives the same. An hour's block is the sum of its minutes' as long as these are
kept. For earlier ones, counts wait in `edge_late` and are added to the coarser block in the transaction that deletes them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.counts import from_rows, joined
from bot.storage.blocks import (
    DAY,
    HOUR,
    MINUTE,
    NOTHING_SEEN,
    Seen,
    block_to_counts,
    block_to_seen,
    counts_to_block,
    fetch,
    last_minutes,
    seen_of,
    seen_to_block,
    total,
)  # fmt: skip
from bot.storage.database import Database
from bot.storage.notes import Note, kept_from, mark, noted, settle
from bot.storage.tables import COUNTS, EdgeBlockRow, EdgeLateRow, EdgeRow, EdgeSeenRow

SETTLE_SECONDS = 60
"""A span of time is rolled up this long after its end: most late counts have come by then."""

_edges: Table = EdgeRow.__table__  # type: ignore[attr-defined]
_late: Table = EdgeLateRow.__table__  # type: ignore[attr-defined]
_blocks: Table = EdgeBlockRow.__table__  # type: ignore[attr-defined]
_seen: Table = EdgeSeenRow.__table__  # type: ignore[attr-defined]

MINUTE_ROWS = f"SELECT edge_id, {', '.join(COUNTS)} FROM edge_window WHERE start = ? ORDER BY edge_id"  # noqa: S608


class RollUp:
    """The job. Several may run at once, on one database or in one program: whoever comes second finds it done."""

    def __init__(self, database: Database, edge_retention: float = 30.0 * DAY) -> None:
        self.dropped: Counter[str] = Counter()
        self._database = database
        self._edge_retention = edge_retention

    async def roll(self, now: float) -> int:
        """Make every block that is due at `now` (epoch s), the finest first; says how many were stored."""
        rolled = 0
        due, kept = await self._due(MINUTE, now)
        for note in due:
            if note.start >= kept[MINUTE]:
                rolled += await self._roll_minute(note)
        late = [note for note in due if note.start < kept[MINUTE]]
        for _, notes in groupby(late, lambda note: note.start // HOUR):
            rolled += await self._add_late(list(notes), kept)
        for seconds, make in ((HOUR, self._roll_hour), (DAY, self._roll_day)):
            for note in (await self._due(seconds, now))[0]:
                rolled += await make(note)
        return rolled

    async def _due(self, seconds: int, now: float) -> tuple[list[Note], dict[int, int]]:
        """Notes of closed spans, the oldest first, without those that wait for a finer one; and what is kept from when."""
        async with self._database.read() as connection:
            notes, kept = await noted(connection), await kept_from(connection)
        waiting = {note.start // seconds for note in notes if note.seconds < seconds}
        closed = now - seconds - SETTLE_SECONDS
        return [
            note
            for note in notes
            if note.seconds == seconds and note.start <= closed and note.start // seconds not in waiting
        ], kept

    async def _roll_minute(self, note: Note) -> bool:
        async with self._database.read() as connection:
            rows = await fetch(connection, MINUTE_ROWS, note.start)
        body = await asyncio.to_thread(_block_of, rows)
        async with self._database.write() as connection:
            if not await settle(connection, note):
                return False
            await self._store(connection, MINUTE, note.start, body)
            await mark(connection, HOUR, [note.start])
        return True

    async def _roll_hour(self, note: Note) -> bool:
        minutes = await self._bodies(MINUTE, note)
        counts, seen = await asyncio.to_thread(_hour_of, minutes)
        await self._see(note.start + HOUR, seen)
        async with self._database.write() as connection:
            if not await settle(connection, note):
                return False
            await self._store(connection, HOUR, note.start, counts)
            await mark(connection, DAY, [note.start])
        return True

    async def _roll_day(self, note: Note) -> bool:
        hours = await self._bodies(HOUR, note)
        body = await asyncio.to_thread(lambda: counts_to_block(total(body for _, body in hours)))
        await self._see(note.start + DAY, NOTHING_SEEN)  # the one of its hours' that is kept longer than these
        async with self._database.write() as connection:
            if not await settle(connection, note):
                return False
            await self._store(connection, DAY, note.start, body)
        return True

    async def _add_late(self, notes: Sequence[Note], kept: dict[int, int]) -> bool:
        """Add late counts to the finest block that is still kept. All `notes` lie in one hour."""
        start = notes[0].start
        level = next((level for level in (HOUR, DAY) if start // level * level >= kept[level]), 0)
        columns = [_late.c.start, _late.c.edge_id, *(_late.c[name] for name in COUNTS)]
        minutes = [note.start for note in notes]
        async with self._database.read() as connection:
            found = await connection.execute(select(*columns).where(_late.c.start.in_(minutes)))
            by_minute = groupby(sorted(map(tuple, found)), lambda row: int(row[0]))
            late = [(minute, from_rows([row[1:] for row in rows])) for minute, rows in by_minute]
        if level:
            await self._see(start // level * level + level, last_minutes(late))
        async with self._database.write() as connection:
            settled = [note.start for note in notes if await settle(connection, note)]
            statement = delete(_late).where(_late.c.start.in_(settled)).returning(*columns[1:])
            rows = [tuple(row) for row in await connection.execute(statement)]
            if not level:
                self.dropped["older than any day that is kept"] += len(rows)
                return False
            start = start // level * level
            known = await _body(connection, level, start)
            await self._store(connection, level, start, await asyncio.to_thread(_block_of, rows, known))
            if level == HOUR:
                await mark(connection, DAY, [start])
        return True

    async def _bodies(self, seconds: int, note: Note) -> list[tuple[int, bytes]]:
        """The finer blocks of a span: (start, body), in order."""
        statement = (
            select(_blocks.c.start, _blocks.c.body)
            .where(_blocks.c.seconds == seconds)
            .where(_blocks.c.start >= note.start, _blocks.c.start < note.start + note.seconds)
            .order_by(_blocks.c.start)
        )
        async with self._database.read() as connection:
            return [(start, body) for start, body in await connection.execute(statement)]

    async def _store(self, connection: AsyncConnection, seconds: int, start: int, body: bytes) -> None:
        await self._replace(connection, _blocks, {"seconds": seconds, "start": start}, body)

    async def _replace(self, connection: AsyncConnection, table: Table, key: dict[str, int], body: bytes) -> None:
        statement = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(table).values(**key, body=body)
        await connection.execute(
            statement.on_conflict_do_update(index_elements=list(key), set_={"body": statement.excluded.body})
        )

    async def _see(self, at: int, seen: Seen) -> None:
        """Take into what was last seen as of the hour `at`, and as of every later one, what was seen before `at`.

        Comes before the note is settled, and only ever raises a moment, so that it can be done again after a kill. The
        latest goes first: a reader takes the latest one before his moment, and what is not there yet he finds by the note.
        """
        async with self._database.read() as connection:
            later = (await connection.execute(select(_seen.c.at).where(_seen.c.at > at))).scalars()
        for moment in [*sorted(later, reverse=True), at]:
            async with self._database.write() as connection:
                await self._database.alone(connection, "roll up")
                before = await connection.execute(
                    select(_seen.c.at, _seen.c.body).where(_seen.c.at <= moment).order_by(_seen.c.at.desc()).limit(1)
                )
                found = before.one_or_none()
                known = block_to_seen(found.body) if found else await self._seen_before_blocks(connection, at)
                merged = known.merged(seen).since(moment - self._edge_retention)
                if found is None or found.at != moment or not merged.same(known):
                    body = await asyncio.to_thread(seen_to_block, merged)
                    await self._replace(connection, _seen, {"at": moment}, body)

    async def _seen_before_blocks(self, connection: AsyncConnection, at: int) -> Seen:
        """The edges that nobody saw after `at`: of the others, the table does not say when they were seen before."""
        rows = await connection.execute(select(_edges.c.id, _edges.c.last_seen).where(_edges.c.last_seen <= at))
        return seen_of((edge, last_seen) for edge, last_seen in rows)


def _block_of(rows: Sequence[Sequence[float]], known: bytes | None = None) -> bytes:
    """A block of (edge, counts…) rows, together with what is in a `known` one."""
    parts = [from_rows(rows)] if known is None else [block_to_counts(known), from_rows(rows)]
    return counts_to_block(joined(parts).summed())


def _hour_of(minutes: Sequence[tuple[int, bytes]]) -> tuple[bytes, Seen]:
    """The block of an hour, and when its edges were last seen."""
    return counts_to_block(total(body for _, body in minutes)), last_minutes(
        (start, block_to_counts(body)) for start, body in minutes
    )


async def _body(connection: AsyncConnection, seconds: int, start: int) -> bytes | None:
    """A block's body, which nobody else changes until the transaction ends; None where there is none."""
    statement = select(_blocks.c.body).where(_blocks.c.seconds == seconds, _blocks.c.start == start)
    found = (await connection.execute(statement.with_for_update())).one_or_none()
    return found.body if found else None
