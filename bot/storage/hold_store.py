"""Incidents that quiet hours hold back, on disk: written with everything else of the incident, read by whoever releases them and
by the digests that tell of them in the morning. They go when their incident goes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.model import Message
from bot.storage.alert_records import Held, Hold
from bot.storage.database import Database
from bot.storage.manners_tables import IncidentHoldRow
from bot.storage.outbox_store import put as write

HELD, OVER, FOLDED = "held", "over", "folded"
MAX_READ = 1_000

KEY = "held:{incident}"
"""The key, in the outbox, of the message that tells of held incidents: named after the first of them."""

holds: Table = IncidentHoldRow.__table__  # type: ignore[attr-defined]


async def put(connection: AsyncConnection, incident_id: int, hold: Hold) -> None:
    """Store what has become of a hold, inside the caller's transaction."""
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    values = hold._asdict() | {"services": list(hold.services), "title": hold.title[:300]}
    made = dialect.insert(holds).values(incident_id=incident_id, **values)
    await connection.execute(made.on_conflict_do_update(index_elements=["incident_id"], set_=values))


async def fold(connection: AsyncConnection, incident_id: int) -> None:
    """An incident is part of another from now on, which says what there is to say."""
    mine = (holds.c.incident_id == incident_id) & holds.c.state.in_((HELD, OVER))
    await connection.execute(update(holds).where(mine).values(state=FOLDED))


class HoldStore:
    """Reads one database, and settles what was told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: float) -> list[int]:
        """Incidents that are held back although their quiet hours are over, the longest ago first."""
        mine = (holds.c.state == HELD) & (holds.c.until <= now)
        async with self._database.read() as connection:
            wanted = select(holds.c.incident_id).where(mine).order_by(holds.c.until, holds.c.incident_id)
            return list((await connection.execute(wanted.limit(MAX_READ))).scalars())

    async def between(self, since: float, until: float) -> list[Held]:
        """Those that began to wait in `[since, until)`, in that order; without those that turned out to be part of another."""
        mine = (holds.c.since >= since) & (holds.c.since < until) & (holds.c.state != FOLDED)
        return await self._read(mine)

    async def untold(self, now: float) -> list[Held]:
        """Those that were over before their quiet hours were, which are over now, and of which nobody has been told."""
        return await self._read((holds.c.state == OVER) & (holds.c.until <= now) & holds.c.told_at.is_(None))

    async def tell(self, incidents: Collection[int], channel: str, message: Message | None, now: float) -> bool:
        """Settle that people were told of incidents, with the message that does it, if one is needed; False, and nothing is sent,
        where somebody else has settled one of them."""
        mine = holds.c.incident_id.in_(incidents) & holds.c.told_at.is_(None)
        async with self._database.write() as connection:
            await self._database.alone(connection, "held incidents")
            open_still = list((await connection.execute(select(holds.c.incident_id).where(mine))).scalars())
            if len(open_still) != len(incidents):
                return False
            await connection.execute(update(holds).where(mine).values(told_at=now))
            if message is not None:
                await write(connection, KEY.format(incident=min(incidents)), channel, message, now)
            return True

    async def _read(self, mine: Any) -> list[Held]:
        columns: Sequence[Any] = [holds.c.incident_id, *(holds.c[name] for name in Hold._fields)]
        async with self._database.read() as connection:
            wanted = select(*columns).where(mine).order_by(holds.c.since, holds.c.incident_id).limit(MAX_READ)
            rows = [row._mapping for row in await connection.execute(wanted)]
        fields = ({name: row[name] for name in Hold._fields} | {"services": tuple(row["services"])} for row in rows)
        return [Held(row["incident_id"], Hold(**one)) for row, one in zip(rows, fields, strict=True)]
