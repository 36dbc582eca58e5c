"""Which team a person said is his, for his App Home. One row a person; those who have not said so for long go first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.storage.database import Database
from bot.storage.tables import HomeTeamRow

MAX_PEOPLE = 100_000

_teams: Table = HomeTeamRow.__table__  # type: ignore[attr-defined]


class TeamStore:
    """Reads and writes one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def team(self, user: str) -> str:
        """See `Kept.team`."""
        async with self._database.read() as connection:
            return (await connection.execute(select(_teams.c.team).where(_teams.c.user_id == user))).scalar() or ""

    async def choose(self, user: str, team: str, now: float) -> None:
        """Remember it, in place of what the person said before."""
        made: Any = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(_teams)
        said = made.values(user_id=user, team=team, at=now)
        async with self._database.write() as connection:
            await connection.execute(
                said.on_conflict_do_update(index_elements=["user_id"], set_={"team": said.excluded.team, "at": now})
            )
            known = (await connection.execute(select(func.count()).select_from(_teams))).scalar_one()
            if known > MAX_PEOPLE:
                oldest = select(_teams.c.user_id).order_by(_teams.c.at, _teams.c.user_id).limit(known - MAX_PEOPLE)
                await connection.execute(delete(_teams).where(_teams.c.user_id.in_(oldest)))
