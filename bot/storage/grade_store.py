"""What was said of incidents and what became of them: written when they are over, confirmed by people, read to be graded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import CursorResult, Table, case, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage.database import Database
from bot.storage.tables import DecisionRow, IncidentGradeRow

KEPT_SECONDS = 2 * 365 * 86_400.0
_GIVEN_AGAIN_SECONDS = 25 * 86_400.0
MAX_READ = 20_000
"""Incidents that are graded at once, the latest."""

_grades: Table = IncidentGradeRow.__table__  # type: ignore[attr-defined]
_decisions: Table = DecisionRow.__table__  # type: ignore[attr-defined]


async def put(
    connection: AsyncConnection, database: Database, incident_id: int, outcome: Mapping[str, Any], now: float
) -> None:
    """Store an incident's outcome inside the caller's transaction; once more for one that is over again. What a person has
    said of its cause stays. Outcomes older than `KEPT_SECONDS` go."""
    made: Any = (sqlite.insert if database.is_sqlite else postgresql.insert)(_grades)
    row = {
        "incident_id": incident_id,
        "closed_at": now,
        "outcome": dict(outcome),
        "confirmed_cause": "",
        "confirmed_by": "",
    }
    new = made.excluded
    # A number that is given again, long after its incident was let go, is another incident's.
    other = _grades.c.closed_at < now - _GIVEN_AGAIN_SECONDS
    changed = {"closed_at": new.closed_at, "outcome": new.outcome} | {
        name: case((other, ""), else_=_grades.c[name]) for name in ("confirmed_cause", "confirmed_by")
    }
    await connection.execute(delete(_grades).where(_grades.c.closed_at < now - KEPT_SECONDS))
    await connection.execute(made.values(row).on_conflict_do_update(index_elements=["incident_id"], set_=changed))


class GradeStore:
    """Reads and writes one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def confirm(self, incident_id: int, cause: str, by: str, now: float) -> bool:
        """Note who was at fault (`none`: none of those named); False where the incident is not over, or not there. Said again,
        the last word stands; each is kept among the incident's decisions."""
        async with self._database.write() as connection:
            changed = update(_grades).where(_grades.c.incident_id == incident_id)
            values = {"confirmed_cause": cause, "confirmed_by": by, "confirmed_at": now}
            result: CursorResult[Any] = await connection.execute(changed.values(**values))
            if not result.rowcount:
                return False
            said = {"incident_id": incident_id, "delivery_id": None, "at": now, "step": "confirm", "verdict": cause,
                    "reason": f"said by {by or 'somebody'}"}  # fmt: skip
            await connection.execute(insert(_decisions).values(said))
        return True

    async def since(self, moment: float) -> list[tuple[float, dict[str, Any], str]]:
        """Incidents that were over at `moment` (epoch s) or later, the latest first: (closed at, outcome, confirmed cause)."""
        wanted = select(_grades.c.closed_at, _grades.c.outcome, _grades.c.confirmed_cause)
        wanted = wanted.where(_grades.c.closed_at >= moment).order_by(_grades.c.closed_at.desc()).limit(MAX_READ)
        async with self._database.read() as connection:
            return [tuple(row) for row in await connection.execute(wanted)]
