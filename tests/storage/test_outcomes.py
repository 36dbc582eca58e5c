"""Outcomes and messages, on SQLite and on a real PostgreSQL: whole or not at all, claimed by one."""

from __future__ import annotations

import asyncio

import pytest

from bot.model import Alert, AlertStatus, Message
from bot.storage.alert_store import AlertStore, Outcome, Verdict
from bot.storage.database import Database
from bot.storage.outbox_store import OutboxStore, put


def alert(**changes: object) -> Alert:
    fields: dict[str, object] = {
        "source": "alertmanager",
        "fingerprint": "f",
        "status": AlertStatus.FIRING,
        "starts_at": 1.0,
        "title": "t",
        "group_key": "g",
    }
    return Alert(**(fields | changes))  # type: ignore[arg-type]


async def test_an_outcome_is_stored_whole_or_not_at_all(database: Database) -> None:
    store = AlertStore(database)
    number = await store.store_delivery("alertmanager", "k", {}, b"{}", 100.0, 60.0)
    assert number is not None
    assert await store.store_delivery("alertmanager", "k", {}, b"{}", 150.0, 60.0) is None
    outcome = Outcome(
        number, 100.0, "done", [Verdict("dedupe", "new", "r")], None, {"nonsense": 1}, [(alert(), "web", "web")]
    )
    with pytest.raises(Exception, match="nonsense"):
        await store.commit(outcome, ("incident:{incident}:root", "#c", Message("t", ())))
    assert await store.count_waiting() == 1
    assert await OutboxStore(database).latest(5) == []

    outcome.incident = {
        "state": "open", "group_key": "g", "environment": "", "title": "t", "opened_at": 1.0, "created_at": 100.0,
        "updated_at": 100.0, "facts": {"state": "open"},
    }  # fmt: skip
    incident = await store.commit(outcome, ("incident:{incident}:root", "#c", Message("t", ())))
    assert incident is not None
    assert await store.count_waiting() == 0
    assert await store.firing() == {"web": 1.0}
    assert [row.key for row in await OutboxStore(database).latest(5)] == [f"incident:{incident}:root"]
    assert (await store.known([alert()]))["f", 1.0].incident_id == incident
    joined = await store.open_incident("pagerduty", "other", ["web"], "")
    assert joined is not None
    assert (joined[0].id, joined[1]) == (incident, "same_service")


async def test_of_two_workers_that_claim_a_message_one_gets_it_and_a_newer_wording_is_not_lost(
    database: Database,
) -> None:
    outbox = OutboxStore(database)
    async with database.write() as connection:
        await put(connection, "k", "#c", Message("one", ()), 1.0)
    claims = await asyncio.gather(*(outbox.claim("k", 2.0) for _ in range(5)))
    assert sorted(claims) == [False] * 4 + [True]
    async with database.write() as connection:
        await put(connection, "k", "#c", Message("two", ()), 3.0)
    assert [row.state for row in await outbox.unsettled()] == ["sending"]
    await outbox.sent("k", 1, "C1", "1.1", 4.0)

    [due] = await outbox.due(5.0, 10)
    assert (due.message.text, due.ts, due.revision, due.sent_revision) == ("two", "1.1", 2, 1)
