"""Notes of what is not rolled up yet, and from when on each resolution is kept. See `bot.storage.roll_up`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.tables import KeptFromRow, UnrolledRow

notes: Table = UnrolledRow.__table__  # type: ignore[attr-defined]
kept: Table = KeptFromRow.__table__  # type: ignore[attr-defined]


class Note(NamedTuple):
    """A span of time whose block is not up to date. `token` is another one after every change."""

    seconds: int
    start: int
    token: int


async def mark(connection: AsyncConnection, seconds: int, moments: Iterable[int]) -> None:
    """Note that the spans of `seconds` which hold `moments` changed, in the transaction that changes them. Waits for others
    that note the same."""
    token = secrets.randbits(62)
    rows = [
        {"seconds": seconds, "start": start, "token": token}
        for start in sorted({at // seconds * seconds for at in moments})
    ]
    if rows:
        insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        statement = insert(notes)
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["seconds", "start"], set_={"token": statement.excluded.token}
            ),
            rows,
        )


async def settle(connection: AsyncConnection, note: Note) -> bool:
    """Remove a note if it is still the same: of several who try, one succeeds."""
    same = (notes.c.seconds == note.seconds, notes.c.start == note.start, notes.c.token == note.token)
    return (await connection.execute(delete(notes).where(*same))).rowcount == 1


async def noted(connection: AsyncConnection) -> list[Note]:
    """All notes, by resolution and time. Few: those of the current minute, hour and day, and of what was late."""
    found = await connection.execute(select(notes).order_by(notes.c.seconds, notes.c.start))
    return [Note(*row) for row in found]


async def kept_from(connection: AsyncConnection, *, while_writing: bool = False) -> dict[int, int]:
    """Resolution in seconds -> from when on it is kept (epoch s). `while_writing`: it stays so until the transaction ends."""
    statement = select(kept.c.seconds, kept.c.start)
    if while_writing:
        statement = statement.with_for_update(read=True)
    return {row.seconds: row.start for row in await connection.execute(statement)}
