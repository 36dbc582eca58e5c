"""Deliveries, alerts, incidents and decisions on disk.

A delivery is stored before it is acknowledged and stays `waiting` until the alert path has committed everything that
follows from it in one transaction; a process killed in between works it again and comes to the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import CursorResult, Table, and_, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.model import Alert, AlertStatus, Message
from bot.storage import grade_store, hold_store, outbox_store
from bot.storage.alert_records import Outcome, Queued, StoredAlert, StoredDelivery, StoredIncident, Verdict
from bot.storage.database import Database
from bot.storage.tables import AlertRow, DecisionRow, DeliveryRow, IncidentRow

_deliveries: Table = DeliveryRow.__table__  # type: ignore[attr-defined]
_alerts: Table = AlertRow.__table__  # type: ignore[attr-defined]
_incidents: Table = IncidentRow.__table__  # type: ignore[attr-defined]
_decisions: Table = DecisionRow.__table__  # type: ignore[attr-defined]

_ALERT_IDENTITY = ("source", "fingerprint", "starts_at")
_ALERT_KEPT = frozenset(("id", "incident_id", *_ALERT_IDENTITY))  # an alert stays with the incident it came to first

MAX_ATTEMPTS = 5
"""A delivery that fails this often is set aside as `failed`, with the reason, instead of blocking those behind it."""


_REJECT = "reject"


class AlertStore:
    """Reads and writes the alert path's tables."""

    def __init__(self, database: Database) -> None:
        self._database = database
        statement = (sqlite if database.is_sqlite else postgresql).insert(_alerts)
        changing = {column.name for column in _alerts.c} - _ALERT_KEPT
        self._put_alerts = statement.on_conflict_do_update(
            index_elements=_ALERT_IDENTITY, set_={name: statement.excluded[name] for name in changing}
        )

    # -- deliveries --------------------------------------------------------------------------------------------------

    async def store_delivery(
        self, source: str, key: str, headers: Mapping[str, str], body: bytes, now: float, repeat_seconds: float | None
    ) -> int | None:
        """Keep a delivery; None where the sender repeats itself.

        That is: where the same key came within `repeat_seconds`; with None, where it was the source's latest, since a key
        made of what a delivery says is news again as soon as something else was said in between.
        """
        latest = select(_deliveries.c.key).where(_deliveries.c.source == source).order_by(_deliveries.c.id.desc())
        if repeat_seconds is not None:
            recent = _deliveries.c.received_at > now - repeat_seconds
            latest = latest.where(_deliveries.c.key == key, recent)
        async with self._database.write() as connection:
            await self._database.alone(connection, f"delivery from {source}")
            if await connection.scalar(latest.limit(1)) == key:
                return None
            values = {"source": source, "key": key, "received_at": now, "headers": dict(headers), "body": body,
                      "state": "waiting", "attempts": 0, "verdict": ""}  # fmt: skip
            result = await connection.execute(insert(_deliveries).values(values))
            return _new_id(result)

    async def waiting(self, limit: int) -> list[StoredDelivery]:
        """Deliveries not worked yet, in the order they came."""
        columns = [_deliveries.c[name] for name in ("id", "source", "received_at", "headers", "body", "attempts")]
        statement = select(*columns).where(_deliveries.c.state == "waiting").order_by(_deliveries.c.id).limit(limit)
        async with self._database.read() as connection:
            return [StoredDelivery(*row) for row in await connection.execute(statement)]

    async def count_waiting(self) -> int:
        """How many deliveries wait."""
        async with self._database.read() as connection:
            statement = select(func.count()).select_from(_deliveries).where(_deliveries.c.state == "waiting")
            return int(await connection.scalar(statement) or 0)

    async def delivery_failed(self, delivery: StoredDelivery, reason: str) -> None:
        """Note a failed attempt; after `MAX_ATTEMPTS` the delivery is set aside."""
        state = "failed" if delivery.attempts + 1 >= MAX_ATTEMPTS else "waiting"
        await self._settle(delivery.id, state=state, attempts=delivery.attempts + 1, verdict=reason[:500])

    async def _settle(self, delivery_id: int, **values: Any) -> None:
        async with self._database.write() as connection:
            await connection.execute(update(_deliveries).where(_deliveries.c.id == delivery_id).values(**values))

    async def sources(self) -> dict[str, dict[str, float]]:
        """Per alert source: deliveries kept, how many failed, and when the last one came (epoch s)."""
        failed = func.sum(func.coalesce(_deliveries.c.state == "failed", False).cast(_deliveries.c.attempts.type))
        statement = select(_deliveries.c.source, func.count(), failed, func.max(_deliveries.c.received_at)).group_by(
            _deliveries.c.source
        )
        async with self._database.read() as connection:
            rows = await connection.execute(statement)
            return {row[0]: {"deliveries": row[1], "failed": int(row[2] or 0), "last": row[3]} for row in rows}

    async def expire(self, before: float) -> int:
        """Drop worked deliveries, and closed incidents with all that hangs on them, older than `before`; says how many
        deliveries went."""
        async with self._database.write() as connection:
            gone = await connection.execute(
                delete(_deliveries).where(_deliveries.c.received_at < before, _deliveries.c.state != "waiting")
            )
            closed = select(_incidents.c.id).where(_incidents.c.state == "resolved", _incidents.c.updated_at < before)
            await outbox_store.forget(connection, list((await connection.execute(closed)).scalars()), before)
            for table in (_alerts, _decisions, hold_store.holds):
                await connection.execute(delete(table).where(table.c.incident_id.in_(closed)))
            await connection.execute(
                delete(_decisions).where(_decisions.c.incident_id.is_(None), _decisions.c.at < before)
            )
            await connection.execute(
                delete(_incidents).where(_incidents.c.state == "resolved", _incidents.c.updated_at < before)
            )
        return gone.rowcount

    # -- alerts and incidents ----------------------------------------------------------------------------------------

    async def known(self, alerts: Sequence[Alert]) -> dict[tuple[str, float], StoredAlert]:
        """The alerts of one delivery that are stored already, by (fingerprint, starts_at)."""
        if not alerts:
            return {}
        wanted = {alert.fingerprint for alert in alerts}
        statement = select(_alerts).where(_alerts.c.source == alerts[0].source, _alerts.c.fingerprint.in_(wanted))
        async with self._database.read() as connection:
            found = [_stored_alert(row._mapping) for row in await connection.execute(statement)]
        return {(stored.alert.fingerprint, stored.alert.starts_at): stored for stored in found}

    async def open_incident(
        self, source: str, group_key: str, services: Sequence[str], environment: str
    ) -> tuple[StoredIncident, str] | None:
        """The open incident new alerts belong to, the oldest of several, with the reason: `same_group` or `same_service`."""
        firing = _alerts.c.status != AlertStatus.RESOLVED.value
        # Never across environments; a sender that names none does not contradict one that does.
        same_environment = or_(
            _incidents.c.environment == environment, _incidents.c.environment == "", literal(environment) == ""
        )
        same_group = and_(_alerts.c.source == source, _alerts.c.group_key == group_key, _alerts.c.group_key != "")
        group = and_(same_group, same_environment)
        service = and_(_alerts.c.service.in_(services), _alerts.c.service != "", firing, same_environment)
        async with self._database.read() as connection:
            for reason, condition in (("same_group", group), ("same_service", service)):
                statement = (
                    select(_incidents)
                    .join(_alerts, _alerts.c.incident_id == _incidents.c.id)
                    .where(_incidents.c.state != "resolved", condition)
                    .order_by(_incidents.c.id)
                    .limit(1)
                )
                row = (await connection.execute(statement)).first()
                if row is not None:
                    return StoredIncident(**row._mapping), reason
        return None

    async def incident(self, incident_id: int) -> StoredIncident:
        """One incident. Raises LookupError where there is none."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(_incidents).where(_incidents.c.id == incident_id))).first()
        if row is None:
            raise LookupError(f"no incident {incident_id}")
        return StoredIncident(**row._mapping)

    async def alerts_of(self, incident_id: int) -> list[StoredAlert]:
        """All alerts of an incident, oldest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(_alerts).where(_alerts.c.incident_id == incident_id).order_by(_alerts.c.starts_at, _alerts.c.id)
            )
            return [_stored_alert(row._mapping) for row in rows]

    async def firing(self) -> dict[str, float]:
        """Services with an alert that fires now, and since when (epoch s)."""
        statement = (
            select(_alerts.c.service, func.min(_alerts.c.starts_at))
            .join(_incidents, _incidents.c.id == _alerts.c.incident_id)
            .where(_incidents.c.state.in_(("open", "acknowledged")))
            .where(_alerts.c.status != AlertStatus.RESOLVED.value, _alerts.c.service != "")
            .group_by(_alerts.c.service)
        )
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(statement)}

    async def reserve_incident_id(self, connection: AsyncConnection, values: Mapping[str, Any]) -> int:
        """Open an incident inside the caller's transaction; gives its id."""
        result = await connection.execute(insert(_incidents).values(**values))
        return _new_id(result)

    async def commit(self, outcome: Outcome, messages: Sequence[Queued] = ()) -> int | None:
        """Store an outcome whole: incident, alerts, verdicts, what its messages should say from now on, and the delivery as
        done. Gives the incident's id, None where the delivery concerned none.
        """
        async with self._database.write() as connection:
            incident_id = outcome.incident_id
            if incident_id is None and outcome.alerts:
                incident_id = await self.reserve_incident_id(connection, outcome.incident)
            elif incident_id is not None and outcome.incident:
                changed = update(_incidents).where(_incidents.c.id == incident_id).values(**outcome.incident)
                await connection.execute(changed)
            for folded, values in outcome.folded:
                moved = update(_alerts).where(_alerts.c.incident_id == folded)
                await connection.execute(moved.values(incident_id=incident_id))
                await connection.execute(update(_incidents).where(_incidents.c.id == folded).values(**values))
                await hold_store.fold(connection, folded)
            if outcome.alerts:
                alerts = [_alert_row(*one, incident_id, outcome.at) for one in outcome.alerts]
                await connection.execute(self._put_alerts, alerts)
            rows = [
                {"incident_id": incident_id, "delivery_id": outcome.delivery_id, "at": outcome.at, "step": verdict.step,
                 "verdict": verdict.verdict, "reason": verdict.reason[:1000]}
                for verdict in outcome.verdicts
            ]  # fmt: skip
            if rows:
                await connection.execute(insert(_decisions), rows)
            for key, channel, content, parent in messages:
                whole, under = (text.replace("{incident}", str(incident_id)) for text in (key, parent))
                await outbox_store.put(connection, whole, channel, content, outcome.at, under or None)
            if outcome.hold is not None and incident_id is not None:
                await hold_store.put(connection, incident_id, outcome.hold)
            if outcome.grade is not None and incident_id is not None:
                await grade_store.put(connection, self._database, incident_id, outcome.grade, outcome.at)
            if outcome.delivery_id is not None:
                done = update(_deliveries).where(_deliveries.c.id == outcome.delivery_id)
                await connection.execute(done.values(state="done", verdict=outcome.verdict))
        return incident_id

    async def forward(self, key: str, channel: str, message: Message, now: float) -> None:
        """Write a message that belongs to no incident: an alert that could not be worked."""
        async with self._database.write() as connection:
            await outbox_store.put(connection, key, channel, message, now)

    async def reject(self, incident_id: int, service: str, by: str, now: float) -> bool:
        """Note that somebody says a service is not the cause; False where the incident is over, or not there."""
        still_open = select(_incidents.c.id).where(_incidents.c.id == incident_id, _incidents.c.state != "resolved")
        said = {"incident_id": incident_id, "delivery_id": None, "at": now, "step": _REJECT, "verdict": service,
                "reason": f"said by {by or 'somebody'}"}  # fmt: skip
        async with self._database.write() as connection:
            if (await connection.execute(still_open)).first() is None:
                return False
            await connection.execute(insert(_decisions).values(said))
        return True

    async def rejected(self, incident_id: int) -> frozenset[str]:
        """The services that people said are not an incident's cause."""
        wanted = select(_decisions.c.verdict).where(
            _decisions.c.incident_id == incident_id, _decisions.c.step == _REJECT
        )
        async with self._database.read() as connection:
            return frozenset((await connection.execute(wanted)).scalars())

    async def decisions(self, incident_id: int) -> list[Verdict]:
        """Why an incident went as it did, in order."""
        statement = select(_decisions.c.step, _decisions.c.verdict, _decisions.c.reason)
        statement = statement.where(_decisions.c.incident_id == incident_id).order_by(_decisions.c.id)
        async with self._database.read() as connection:
            return [Verdict(*row) for row in await connection.execute(statement)]


def _new_id(result: CursorResult[Any]) -> int:
    if result.inserted_primary_key is None:
        raise LookupError("the database gave no id for a new row")
    return int(result.inserted_primary_key[0])


def _alert_row(alert: Alert, service: str, named: str, incident_id: int | None, now: float) -> dict[str, Any]:
    return {
        "source": alert.source, "fingerprint": alert.fingerprint, "starts_at": alert.starts_at,
        "incident_id": incident_id, "status": alert.status.value, "group_key": alert.group_key, "service": service,
        "named": named, "title": alert.title, "summary": alert.summary, "severity": alert.severity,
        "environment": alert.environment, "link": alert.link, "runbook": alert.runbook, "number": alert.number,
        "labels": dict(alert.labels), "ends_at": alert.ends_at, "updated_at": now,
    }  # fmt: skip


def _stored_alert(row: Any) -> StoredAlert:
    alert = Alert(
        source=row["source"], fingerprint=row["fingerprint"], status=AlertStatus(row["status"]), starts_at=row["starts_at"],
        title=row["title"], group_key=row["group_key"], ends_at=row["ends_at"], summary=row["summary"],
        severity=row["severity"], environment=row["environment"], labels=row["labels"], link=row["link"],
        runbook=row["runbook"], number=row["number"],
    )  # fmt: skip
    return StoredAlert(alert, row["incident_id"], row["service"], row["named"])
