"""Incidents that quiet hours hold back, on both databases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bot.model import Message
from bot.storage.alert_records import Folded, Hold, Outcome
from bot.storage.alert_store import AlertStore
from bot.storage.database import Database
from bot.storage.hold_store import HoldStore
from bot.storage.outbox_store import OutboxStore
from tests.storage.test_alert_store import ALERT

DAY = 86_400.0
VALUES: dict[str, Any] = {
    "state": "open", "environment": "", "title": "t", "opened_at": 1.0, "updated_at": 1.0, "resolved_at": None, "facts": {},
    "group_key": "", "created_at": 1.0,
}  # fmt: skip


@dataclass
class Night:
    database: Database

    async def hold(self, number: int, since: float, until: float, state: str, known: int | None = None) -> int:
        """Store an incident and what quiet hours make of it; gives its number."""
        alert = replace(ALERT, fingerprint=f"f{number}")
        hold = Hold(since, until, state, f"title {number}", (f"service-{number}",), "#ops")
        outcome = Outcome(None, 1.0, "", incident_id=known, incident=dict(VALUES), alerts=[(alert, "", "")], hold=hold)
        if known:
            outcome.incident = {"updated_at": 2.0}
        return await AlertStore(self.database).commit(outcome) or 0


async def test_what_waits_is_due_when_its_hours_are_over_and_only_while_it_waits(database: Database) -> None:
    night, store = Night(database), HoldStore(database)
    first = await night.hold(1, 10.0, 200.0, "held")
    second = await night.hold(2, 20.0, 100.0, "held")
    await night.hold(3, 30.0, 100.0, "over")

    assert [await store.due(now) for now in (99.0, 100.0, 250.0)] == [[], [second], [second, first]]
    await night.hold(2, 20.0, 100.0, "posted", known=second)
    assert await store.due(250.0) == [first]
    assert [(one.incident, one.hold.state) for one in await store.between(15.0, 30.0)] == [(second, "posted")]


async def test_one_that_is_folded_into_another_is_told_of_with_that(database: Database) -> None:
    night, store = Night(database), HoldStore(database)
    first, second = await night.hold(1, 10.0, 100.0, "held"), await night.hold(2, 20.0, 100.0, "held")
    outcome = Outcome(None, 2.0, "", incident_id=first, folded=[Folded(second, {"state": "resolved"})])
    await AlertStore(database).commit(outcome)

    assert [one.incident for one in await store.between(0.0, 50.0)] == [first]
    assert await store.due(200.0) == [first]


async def test_what_was_over_by_itself_is_told_of_once(database: Database) -> None:
    night, store = Night(database), HoldStore(database)
    numbers = [await night.hold(one, 10.0 + one, 100.0, "over") for one in (1, 2)]

    assert await store.untold(99.0) == []
    assert [one.hold.services for one in await store.untold(100.0)] == [("service-1",), ("service-2",)]
    message = Message("held", ({"type": "section", "text": {"type": "mrkdwn", "text": "held"}},))
    assert await store.tell(numbers, "#ops", message, 101.0)
    assert not await store.tell(numbers, "#ops", message, 102.0)
    assert await store.untold(200.0) == []
    assert [(row.key, row.channel) for row in await OutboxStore(database).latest(5)] == [(f"held:{numbers[0]}", "#ops")]


async def test_holds_go_with_their_incidents(database: Database) -> None:
    night = Night(database)
    number = await night.hold(1, 10.0, 100.0, "over")
    await AlertStore(database).commit(Outcome(None, 2.0, "", incident_id=number, incident={"state": "resolved"}))
    await AlertStore(database).expire(40 * DAY)

    assert await HoldStore(database).between(0.0, 50.0) == []
