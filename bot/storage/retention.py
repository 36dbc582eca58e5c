"""Lets go of the map's history that is too old: minutes first, then hours, then days. In small transactions.

What goes out of a resolution is in the next coarser one by then: nothing goes whose block is not up to date. First the
boundary moves, in a transaction that waits for all writes under way; from then on late counts go past it (see
`bot.storage.map_store`), so what lies before it can be deleted a bit at a time, whenever.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.blocks import DAY, HOUR, MINUTE
from bot.storage.database import Database
from bot.storage.notes import kept, noted
from bot.storage.tables import EdgeBlockRow, EdgeLateRow, EdgeSeenRow, EdgeWindowRow

_windows: Table = EdgeWindowRow.__table__  # type: ignore[attr-defined]
_blocks: Table = EdgeBlockRow.__table__  # type: ignore[attr-defined]
_late: Table = EdgeLateRow.__table__  # type: ignore[attr-defined]
_seen: Table = EdgeSeenRow.__table__  # type: ignore[attr-defined]

_COARSER = {MINUTE: HOUR, HOUR: DAY, DAY: DAY}
_FINER = {MINUTE: MINUTE, HOUR: MINUTE, DAY: HOUR}


async def let_go(database: Database, seconds: int, before: float) -> int:
    """Delete minutes, hours or days that start before `before` (epoch s), in whole hours or days; says how many edge
    windows went. What still has to be rolled up stays."""
    boundary = await _move(database, seconds, before)
    gone = 0
    if seconds == MINUTE:
        gone = await _delete(database, _windows, _windows.c.start, boundary, MINUTE)
    await _delete(database, _blocks, _blocks.c.start, boundary, seconds, _blocks.c.seconds == seconds)
    if seconds == HOUR:  # as of each full day they are kept as long as days
        await _delete(database, _seen, _seen.c.at, boundary, HOUR, _seen.c.at % DAY != 0)
    if seconds == DAY:
        await _delete(database, _seen, _seen.c.at, boundary, DAY)
    return gone


async def _move(database: Database, seconds: int, before: float) -> int:
    """Move the boundary up to `before`, or to the first span that is not rolled up; says where it is then."""
    coarser, finer = _COARSER[seconds], _FINER[seconds]
    async with database.write() as connection:
        statement = select(kept.c.seconds, kept.c.start).order_by(kept.c.seconds).with_for_update()
        starts = {row.seconds: row.start for row in await connection.execute(statement)}
        boundary: int = starts[seconds]
        waiting = [note.start for note in await noted(connection) if note.seconds <= coarser and note.start >= boundary]
        limits = [before, *waiting] if finer == seconds else [before, starts[finer], *waiting]
        moved = int(min(limits)) // coarser * coarser
        if moved <= boundary:
            return boundary
        await connection.execute(update(kept).where(kept.c.seconds == seconds).values(start=moved))
        return moved


async def _delete(
    database: Database,
    table: Table,
    column: ColumnElement[int],
    before: int,
    step: int,
    *which: ColumnElement[bool],
) -> int:
    """Delete what lies before a moment, the oldest `step` seconds of it in each transaction, so that none takes long."""
    gone = 0
    while True:
        async with database.write() as connection:
            oldest: Any = await connection.scalar(select(func.min(column)).where(*which))
            if oldest is None or oldest >= before:
                return gone
            upto = min(before, oldest // step * step + step)
            gone += (await connection.execute(delete(table).where(column < upto, *which))).rowcount


async def oldest(connection: AsyncConnection) -> float:
    """When the oldest counts start that are kept at any resolution; infinite where there are none."""
    starts = [select(func.min(_windows.c.start)), select(func.min(_late.c.start))]
    starts += [select(func.min(_blocks.c.start)).where(_blocks.c.seconds == seconds) for seconds in _COARSER]
    found = [(await connection.execute(statement)).scalar_one() for statement in starts]
    return min((float(start) for start in found if start is not None), default=float("inf"))
