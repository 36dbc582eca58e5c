"""Reads incidents for answers: a page of them, or one with its alerts and decisions. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, func, or_, select

from bot.model import AlertStatus
from bot.storage.database import Database
from bot.storage.hold_store import HoldStore
from bot.storage.tables import AlertRow, DecisionRow, IncidentRow

_incidents: Table = IncidentRow.__table__  # type: ignore[attr-defined]
_alerts: Table = AlertRow.__table__  # type: ignore[attr-defined]
_decisions: Table = DecisionRow.__table__  # type: ignore[attr-defined]

_LISTED = ("id", "state", "title", "environment", "group_key", "opened_at", "updated_at", "resolved_at")
_ALERT = (
    "id",
    "source",
    "fingerprint",
    "status",
    "service",
    "named",
    "title",
    "summary",
    "severity",
    "link",
    "number",
    "starts_at",
    "ends_at",
)


class IncidentReader:
    """Reads one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, limit: int, before: int | None = None, state: str = "") -> list[dict[str, Any]]:
        """The latest incidents, newest first, those with ids below `before`."""
        wanted = select(*(_incidents.c[name] for name in _LISTED)).order_by(_incidents.c.id.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(_incidents.c.id < before)
        if state:
            wanted = wanted.where(_incidents.c.state == state)
        async with self._database.read() as connection:
            return [dict(zip(_LISTED, row, strict=True)) for row in await connection.execute(wanted)]

    async def open(self, limit: int) -> list[dict[str, Any]]:
        """Incidents that are not over, newest first, as `page` gives them."""
        wanted = select(*(_incidents.c[name] for name in _LISTED)).where(_incidents.c.state != "resolved")
        async with self._database.read() as connection:
            rows = await connection.execute(wanted.order_by(_incidents.c.id.desc()).limit(limit))
            return [dict(zip(_LISTED, row, strict=True)) for row in rows]

    async def about(self, service: str, limit: int = 5) -> list[dict[str, Any]]:
        """The latest incidents that an alert of this service belongs to, newest first, as `page` gives them."""
        theirs = select(_alerts.c.incident_id).where(_alerts.c.service == service)
        wanted = select(*(_incidents.c[name] for name in _LISTED)).where(_incidents.c.id.in_(theirs))
        async with self._database.read() as connection:
            rows = await connection.execute(wanted.order_by(_incidents.c.id.desc()).limit(limit))
            return [dict(zip(_LISTED, row, strict=True)) for row in rows]

    async def services(self, incidents: Sequence[int]) -> dict[int, list[str]]:
        """The services that the alerts of these incidents are about, those that alerted first first."""
        wanted = select(_alerts.c.incident_id, _alerts.c.service, _alerts.c.named).where(
            _alerts.c.incident_id.in_(incidents)
        )
        found: dict[int, dict[str, None]] = {}
        async with self._database.read() as connection:
            for incident, service, named in await connection.execute(wanted.order_by(_alerts.c.id)):
                if service or named:
                    found.setdefault(incident, {})[service or named] = None
        return {incident: list(those) for incident, those in found.items()}

    async def unresolved(self, limit: int) -> list[int]:
        """The ids of incidents that are not over, newest first."""
        wanted = select(_incidents.c.id).where(_incidents.c.state != "resolved").order_by(_incidents.c.id.desc())
        async with self._database.read() as connection:
            return list((await connection.execute(wanted.limit(limit))).scalars())

    async def due(self, now: float) -> list[int]:
        """The ids of incidents that quiet hours held back, and hold back no longer (see `HoldStore.due`)."""
        return await HoldStore(self._database).due(now)

    async def fired(self, at: float) -> dict[str, float]:
        """Services with an alert that fired at `at`, as far as is known today, and since when (epoch s)."""
        ended = func.coalesce(_alerts.c.ends_at, _alerts.c.updated_at)
        statement = (
            select(_alerts.c.service, func.min(_alerts.c.starts_at))
            .where(_alerts.c.starts_at <= at, _alerts.c.service != "")
            .where(or_(_alerts.c.status != AlertStatus.RESOLVED.value, ended > at))
            .group_by(_alerts.c.service)
        )
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(statement)}

    async def one(self, incident_id: int) -> dict[str, Any] | None:
        """One incident with its facts, alerts and decisions; None where there is none."""
        columns = (*_LISTED, "facts")
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(*(_incidents.c[name] for name in columns)).where(_incidents.c.id == incident_id)
                )
            ).first()
            if row is None:
                return None
            alerts = await connection.execute(
                select(*(_alerts.c[name] for name in _ALERT))
                .where(_alerts.c.incident_id == incident_id)
                .order_by(_alerts.c.id)
            )
            decisions = await connection.execute(
                select(_decisions.c.at, _decisions.c.step, _decisions.c.verdict, _decisions.c.reason)
                .where(_decisions.c.incident_id == incident_id)
                .order_by(_decisions.c.id)
            )
            return dict(zip(columns, row, strict=True)) | {
                "alerts": [dict(zip(_ALERT, one, strict=True)) for one in alerts],
                "decisions": [dict(zip(("at", "step", "verdict", "reason"), one, strict=True)) for one in decisions],
            }

    async def alert(self, wanted: str) -> dict[str, Any] | None:
        """The latest alert with this number or fingerprint; None where there is none."""
        number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else -1
        statement = (
            select(*(_alerts.c[name] for name in _ALERT))
            .where((_alerts.c.fingerprint == wanted) | (_alerts.c.id == number))
            .order_by(_alerts.c.starts_at.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
            return dict(zip(_ALERT, row, strict=True)) if row is not None else None

    async def of_alert(self, wanted: str) -> int | None:
        """The incident of the latest alert with this number or fingerprint, or of this service; None where there is none."""
        number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else -1
        for which in (
            (_alerts.c.fingerprint == wanted) | (_alerts.c.id == number),
            (_alerts.c.service == wanted) | (_alerts.c.named == wanted),
        ):
            statement = select(_alerts.c.incident_id).where(which).order_by(_alerts.c.id.desc()).limit(1)
            async with self._database.read() as connection:
                if (found := (await connection.execute(statement)).scalar()) is not None:
                    return int(found)
        return None
