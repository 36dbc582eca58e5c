"""The alert path's tables: nothing accepted is lost, nothing is stored by halves, nothing is told twice."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError

from bot.model import Alert, AlertStatus, Message
from bot.storage.alert_records import Outcome, Queued, StoredDelivery, Verdict
from bot.storage.alert_store import MAX_ATTEMPTS, AlertStore
from bot.storage.database import Database
from bot.storage.incident_reader import IncidentReader
from bot.storage.outbox_store import OutboxStore

NOW = 1_700_000_000.0
FIRING, ACKNOWLEDGED, RESOLVED = AlertStatus.FIRING, AlertStatus.ACKNOWLEDGED, AlertStatus.RESOLVED

ALERT = Alert(
    source="alertmanager",
    fingerprint="f1",
    status=FIRING,
    starts_at=NOW - 60.125,
    title="HighErrorRate",
    group_key="g1",
    summary="5xx 14 % · größer 🔴",
    severity="critical",
    environment="prod",
    labels={"service": "pay", "pod": "pay-0"},
    link="https://prometheus.test",
    runbook="https://runbooks.test",
    number="#12",
)
MESSAGE = Message("pay is failing", ({"type": "section", "text": {"type": "mrkdwn", "text": "*pay*"}},))
FACTS = {"state": "open", "services": ["pay"], "map": {"hit_count": 2, "layers": {}}}


_numbers = count()


@pytest.fixture
def store(database: Database) -> AlertStore:
    return AlertStore(database)


async def deliver(
    store: AlertStore, key: str = "k", at: float = NOW, source: str = "alertmanager", repeat: float | None = 600.0
) -> int | None:
    return await store.store_delivery(source, key, {"content-type": "application/json"}, b'{"a": 1}', at, repeat)


def incident(**changes: Any) -> dict[str, Any]:
    values = {
        "state": "open", "group_key": "g1", "environment": "prod", "title": "HighErrorRate", "opened_at": NOW - 60,
        "created_at": NOW, "updated_at": NOW, "resolved_at": None, "facts": FACTS,
    }  # fmt: skip
    return values | changes


async def outcome(store: AlertStore, *alerts: Alert, service: str = "pay", **changes: Any) -> Outcome:
    """What follows from a new delivery with these alerts; it opens an incident."""
    number = await deliver(store, key=f"k{next(_numbers)}")
    assert number is not None
    fields: dict[str, Any] = {"verdicts": [Verdict("dedupe", "new", "never seen")], "incident": incident()}
    made = Outcome(number, NOW, "worked", **(fields | changes))
    made.alerts = [(alert, service, "Pay") for alert in alerts or (ALERT,)]
    return made


async def opened(store: AlertStore, *alerts: Alert, service: str = "pay", **changes: Any) -> int:
    found = await store.commit(await outcome(store, *alerts, service=service, incident=incident(**changes)))
    assert found is not None
    return found


# -- deliveries ------------------------------------------------------------------------------------------------------


async def test_a_delivery_waits_as_it_was_received_until_it_is_worked(store: AlertStore) -> None:
    body = bytes(range(256))
    number = await store.store_delivery("pagerduty", "k", {"x-header": "1"}, body, NOW + 0.5, 600)

    assert number is not None
    assert await store.waiting(10) == [StoredDelivery(number, "pagerduty", NOW + 0.5, {"x-header": "1"}, body, 0)]
    assert await store.count_waiting() == 1


async def test_deliveries_are_worked_in_the_order_they_came(store: AlertStore) -> None:
    numbers = [await deliver(store, f"k{number}", NOW - number) for number in range(5)]

    assert [one.id for one in await store.waiting(3)] == numbers[:3]
    assert [one.id for one in await store.waiting(10)] == numbers
    assert await store.count_waiting() == 5


async def test_a_repeat_within_the_time_is_recognised_and_a_later_one_is_new(store: AlertStore) -> None:
    assert await deliver(store, at=NOW) is not None
    assert await deliver(store, at=NOW + 599) is None
    assert await deliver(store, at=NOW + 600) is not None
    assert await deliver(store, at=NOW + 1_100) is None
    assert await store.count_waiting() == 2


async def test_another_key_or_another_source_is_another_delivery(store: AlertStore) -> None:
    found = [await deliver(store), await deliver(store, "other"), await deliver(store, source="pagerduty")]

    assert None not in found
    assert await deliver(store) is None


async def test_a_repeat_is_recognised_after_the_first_was_worked_too(store: AlertStore) -> None:
    number = await deliver(store)
    assert number is not None
    await store.commit(Outcome(number, NOW, "ignored"))

    assert await deliver(store, at=NOW + 1) is None


async def test_where_a_key_is_made_of_what_is_said_only_the_sources_latest_is_a_repeat(store: AlertStore) -> None:
    """Firing, resolved, firing again with the same start: the third says what the first said, and is news."""
    first = [await deliver(store, key, repeat=None) for key in ("fires", "fires", "resolved", "fires")]

    assert [number is None for number in first] == [False, True, False, False]
    assert await deliver(store, "fires", source="pagerduty", repeat=None) is not None
    assert await deliver(store, "fires", at=NOW + 1e6, repeat=None) is None


@pytest.mark.parametrize("repeat", [600.0, None])
async def test_the_same_delivery_many_times_at_once_is_stored_once(store: AlertStore, repeat: float | None) -> None:
    found = await asyncio.gather(*(deliver(store, repeat=repeat) for _ in range(8)))

    assert len([number for number in found if number is not None]) == 1
    assert await store.count_waiting() == 1


async def test_a_delivery_that_fails_is_tried_again_and_set_aside_in_the_end(store: AlertStore) -> None:
    await deliver(store)
    await deliver(store, "behind")
    for attempt in range(MAX_ATTEMPTS):
        first = (await store.waiting(1))[0]
        assert first.attempts == attempt
        await store.delivery_failed(first, "enrich failed" * 100)

    assert [one.attempts for one in await store.waiting(10)] == [0]
    assert await store.sources() == {"alertmanager": {"deliveries": 2, "failed": 1, "last": NOW}}


async def test_sources_are_counted_apart(store: AlertStore) -> None:
    assert await store.sources() == {}
    await deliver(store)
    await deliver(store, "later", NOW + 5)
    await deliver(store, source="pagerduty")

    assert await store.sources() == {
        "alertmanager": {"deliveries": 2, "failed": 0, "last": NOW + 5},
        "pagerduty": {"deliveries": 1, "failed": 0, "last": NOW},
    }


# -- outcomes --------------------------------------------------------------------------------------------------------


async def test_an_outcome_stores_incident_alerts_verdicts_message_and_delivery_at_once(store: AlertStore) -> None:
    found = await store.commit(await outcome(store), [Queued("incident:{incident}:root", "#incidents", MESSAGE)])
    assert found is not None
    kept = await store.incident(found)
    [alert] = await store.alerts_of(found)
    [row] = await OutboxStore(store._database).latest(10)

    assert (kept.id, kept.state, kept.group_key, kept.environment) == (found, "open", "g1", "prod")
    assert (kept.title, kept.opened_at, kept.created_at, kept.updated_at) == ("HighErrorRate", NOW - 60, NOW, NOW)
    assert (kept.resolved_at, kept.facts) == (None, FACTS)
    assert alert.alert == ALERT
    assert (alert.incident_id, alert.service, alert.named) == (found, "pay", "Pay")
    assert await store.decisions(found) == [Verdict("dedupe", "new", "never seen")]
    assert (row.key, row.channel, row.message) == (f"incident:{found}:root", "#incidents", MESSAGE)
    assert await store.count_waiting() == 0


async def test_a_later_outcome_changes_the_incident_and_its_alert_in_place(store: AlertStore) -> None:
    number = await opened(store)
    resolved = replace(ALERT, status=RESOLVED, ends_at=NOW + 30)
    changed = {"state": "resolved", "resolved_at": NOW + 30, "updated_at": NOW + 30, "facts": {"state": "resolved"}}
    later = await outcome(store, resolved, incident_id=number, incident=changed)

    assert await store.commit(later) == number
    assert [one.alert for one in await store.alerts_of(number)] == [resolved]
    kept = await store.incident(number)
    assert (kept.state, kept.resolved_at, kept.facts, kept.title) == (
        "resolved",
        NOW + 30,
        {"state": "resolved"},
        "HighErrorRate",
    )
    assert len(await store.decisions(number)) == 2


async def test_an_outcome_without_alerts_only_closes_its_delivery(store: AlertStore) -> None:
    number = await deliver(store)
    assert number is not None

    assert await store.commit(Outcome(number, NOW, "ignored: nothing new")) is None
    assert await store.count_waiting() == 0
    assert await store.firing() == {}


@pytest.mark.parametrize("broken", ["message", "delivery"])
async def test_an_outcome_that_cannot_be_stored_whole_is_not_stored_at_all(store: AlertStore, broken: str) -> None:
    """The message is written after the alerts, the delivery is closed last: whichever fails takes all with it."""
    made = await outcome(store)
    message = MESSAGE
    if broken == "message":
        message = Message("text", ({"type": object()},))
    else:
        made.verdict = object()  # type: ignore[assignment]
    with pytest.raises((TypeError, SQLAlchemyError)):
        await store.commit(made, [Queued("incident:{incident}:root", "#incidents", message)])

    assert await store.count_waiting() == 1
    assert await store.known([ALERT]) == {}
    assert await store.firing() == {}
    assert await store.decisions(1) == []
    assert await OutboxStore(store._database).latest(10) == []
    with pytest.raises(LookupError):
        await store.incident(1)


async def test_an_outcome_stored_twice_by_a_worker_killed_in_between_comes_to_the_same_alert(store: AlertStore) -> None:
    number = await opened(store)
    again = await outcome(store, ALERT, incident_id=number, incident={"updated_at": NOW + 1})
    await store.commit(again)

    assert [one.alert for one in await store.alerts_of(number)] == [ALERT]


async def test_an_alert_stays_with_the_incident_it_came_to_first(store: AlertStore) -> None:
    first = await opened(store)
    second = await opened(store, replace(ALERT, summary="again"), replace(ALERT, fingerprint="f2"))

    assert [one.alert.summary for one in await store.alerts_of(first)] == ["again"]
    assert [one.alert.fingerprint for one in await store.alerts_of(second)] == ["f2"]


async def test_texts_no_database_takes_do_not_keep_an_alert_from_being_stored(store: AlertStore) -> None:
    """Monitoring systems pass on what programs print: NUL bytes, and emoji cut in half."""
    dirty, clean = "half an emoji \ud83d and \x00", "half an emoji  and "
    alert = replace(ALERT, title=dirty, summary=dirty, labels={f"l\x00{dirty}": dirty})
    made = await outcome(store, alert, service=dirty)
    made.incident = incident(title=dirty, facts={dirty: [dirty]})
    made.verdicts = [Verdict("find service", dirty, dirty)]
    block = {"type": "section", "text": {"type": "mrkdwn", "text": dirty}}
    number = await store.commit(made, [Queued("incident:{incident}:root", "#incidents", Message(dirty, (block,)))])
    assert number is not None
    [kept] = await store.alerts_of(number)
    [row] = await OutboxStore(store._database).latest(1)

    assert (kept.alert.title, kept.alert.summary, kept.service) == (clean, clean, clean)
    assert kept.alert.labels == {f"l{clean}": clean}
    assert (await store.incident(number)).facts == {clean: [clean]}
    assert (await store.decisions(number))[0].reason == clean
    assert row.message == Message(clean, ({"type": "section", "text": {"type": "mrkdwn", "text": clean}},))


async def test_very_long_texts_are_stored_whole_but_for_reasons(store: AlertStore) -> None:
    long = "x" * 100_000
    made = await outcome(store, replace(ALERT, summary=long), verdicts=[Verdict("decide", "post", long)])
    number = await store.commit(made)
    assert number is not None

    assert (await store.alerts_of(number))[0].alert.summary == long
    assert [len(one.reason) for one in await store.decisions(number)] == [1_000]


async def test_five_thousand_alerts_of_one_delivery_are_stored_and_known(store: AlertStore) -> None:
    alerts = [replace(ALERT, fingerprint=f"f{number}") for number in range(5_000)]
    made = await outcome(store, *alerts)
    started = time.process_time()
    number = await store.commit(made)
    assert number is not None

    assert time.process_time() - started < 2.0
    assert len(await store.alerts_of(number)) == 5_000
    assert len(await store.known(alerts)) == 5_000


async def test_a_message_of_no_incident_can_be_written_too(store: AlertStore) -> None:
    await store.forward("delivery:1:plain", "#incidents", MESSAGE, NOW)

    assert [row.key for row in await OutboxStore(store._database).due(NOW, 10)] == ["delivery:1:plain"]


# -- known alerts ----------------------------------------------------------------------------------------------------


async def test_a_known_alert_is_found_by_what_makes_it_the_same(store: AlertStore) -> None:
    number = await opened(store)
    other = replace(ALERT, fingerprint="f2")
    later = replace(ALERT, starts_at=NOW)
    found = await store.known([ALERT, other, later])

    assert found.keys() == {("f1", ALERT.starts_at)}
    assert found["f1", ALERT.starts_at].incident_id == number
    assert await store.known([replace(ALERT, source="pagerduty")]) == {}
    assert await store.known([]) == {}


# -- which incident --------------------------------------------------------------------------------------------------


async def joined(
    store: AlertStore,
    services: tuple[str, ...] = ("pay",),
    group: str = "another",
    environment: str = "prod",
    source: str = "alertmanager",
) -> tuple[int, str] | None:
    found = await store.open_incident(source, group, services, environment)
    return (found[0].id, found[1]) if found else None


async def test_alerts_of_one_group_are_one_incident(store: AlertStore) -> None:
    number = await opened(store)

    assert await joined(store, (), "g1") == (number, "same_group")
    assert await joined(store, (), "g1", source="pagerduty") is None
    assert await joined(store, ()) is None


async def test_alerts_on_one_service_are_one_incident_whoever_sends_them(store: AlertStore) -> None:
    number = await opened(store)

    assert await joined(store, ("web", "pay"), source="pagerduty") == (number, "same_service")
    assert await joined(store, ("web",)) is None


async def test_the_group_is_a_better_reason_than_the_service(store: AlertStore) -> None:
    await opened(store)
    second = await opened(store, replace(ALERT, fingerprint="f2", group_key="g2"), group_key="g2")

    assert await joined(store, ("pay",), "g2") == (second, "same_group")


async def test_of_several_open_incidents_the_oldest_is_joined(store: AlertStore) -> None:
    first = await opened(store)
    await opened(store, replace(ALERT, fingerprint="f2"))

    assert await joined(store) == (first, "same_service")


async def test_the_same_service_in_another_environment_is_another_incident(store: AlertStore) -> None:
    number = await opened(store)

    assert await joined(store, environment="staging") is None
    assert await joined(store, environment="") == (number, "same_service")


async def test_a_group_that_spans_environments_is_an_incident_in_each(store: AlertStore) -> None:
    number = await opened(store)

    assert await joined(store, (), "g1", environment="staging") is None
    assert await joined(store, (), "g1", environment="") == (number, "same_group")


async def test_an_incident_that_names_no_environment_contradicts_none(store: AlertStore) -> None:
    number = await opened(store, environment="")

    assert await joined(store, environment="staging") == (number, "same_service")


async def test_alerts_without_a_service_or_a_group_have_nothing_in_common(store: AlertStore) -> None:
    await opened(store, replace(ALERT, group_key=""), service="", group_key="")

    assert await joined(store, ("",)) is None
    assert await joined(store, (), "") is None


async def test_a_resolved_incident_is_not_joined(store: AlertStore) -> None:
    await opened(store, state="resolved")

    assert await joined(store) is None
    assert await joined(store, group="g1") is None


async def test_a_service_whose_own_alert_is_resolved_draws_nobody_in(store: AlertStore) -> None:
    """The incident stays open for another service."""
    number = await opened(store, replace(ALERT, status=RESOLVED))
    more = await outcome(
        store, replace(ALERT, fingerprint="f2"), service="web", incident_id=number, incident={"updated_at": NOW}
    )
    await store.commit(more)

    assert await joined(store, ("pay",)) is None
    assert await joined(store, ("web",)) == (number, "same_service")


async def test_an_incident_that_is_not_there_is_a_lookup_error(store: AlertStore) -> None:
    with pytest.raises(LookupError, match="no incident 7"):
        await store.incident(7)


async def test_alerts_of_an_incident_come_oldest_first(store: AlertStore) -> None:
    alerts = [replace(ALERT, fingerprint=f"f{start}", starts_at=NOW - start) for start in (1, 3, 2)]
    number = await opened(store, *alerts)

    assert [one.alert.starts_at for one in await store.alerts_of(number)] == [NOW - 3, NOW - 2, NOW - 1]


# -- who fires -------------------------------------------------------------------------------------------------------


async def test_services_with_a_live_alert_fire_since_their_first_one(store: AlertStore) -> None:
    await opened(store, ALERT, replace(ALERT, fingerprint="f2", starts_at=NOW - 500))
    await opened(store, replace(ALERT, fingerprint="f3", status=ACKNOWLEDGED), service="web", state="acknowledged")
    await opened(store, replace(ALERT, fingerprint="f4"), service="")

    assert await store.firing() == {"pay": NOW - 500, "web": ALERT.starts_at}


async def test_resolved_alerts_and_resolved_incidents_do_not_fire(store: AlertStore) -> None:
    await opened(store, replace(ALERT, status=RESOLVED))
    await opened(store, replace(ALERT, fingerprint="f2"), service="web", state="resolved")

    assert await store.firing() == {}


async def test_who_fired_at_a_moment_is_known_afterwards(store: AlertStore, database: Database) -> None:
    reader = IncidentReader(database)
    over = replace(ALERT, status=RESOLVED, starts_at=NOW - 500, ends_at=NOW - 300)
    await opened(store, over, state="resolved")
    await opened(store, replace(ALERT, fingerprint="f2", starts_at=NOW - 100), service="web")

    assert await reader.fired(NOW - 501) == {}
    assert await reader.fired(NOW - 400) == {"pay": NOW - 500}
    assert await reader.fired(NOW - 200) == {}
    assert await reader.fired(NOW) == {"web": NOW - 100}


# -- forgetting ------------------------------------------------------------------------------------------------------


async def test_worked_deliveries_and_closed_incidents_go_in_time_and_what_is_open_stays(store: AlertStore) -> None:
    closed = await opened(store, state="resolved", updated_at=NOW)
    still_open = await opened(store, replace(ALERT, fingerprint="f2"), updated_at=NOW)
    late = await opened(store, replace(ALERT, fingerprint="f3"), state="resolved", updated_at=NOW + 1_000)
    await deliver(store, "waiting")
    assert await store.expire(NOW + 500) == 3

    assert await store.count_waiting() == 1
    with pytest.raises(LookupError):
        await store.incident(closed)
    assert await store.alerts_of(closed) == []
    assert await store.decisions(closed) == []
    for kept in (still_open, late):
        assert len(await store.alerts_of(kept)) == 1
        assert len(await store.decisions(kept)) == 1


async def test_decisions_of_no_incident_go_in_time_too(store: AlertStore) -> None:
    number = await deliver(store)
    assert number is not None
    await store.commit(Outcome(number, NOW, "ignored", [Verdict("dedupe", "", "nothing new")]))
    await store.expire(NOW + 1)

    assert await store.sources() == {}
    assert await deliver(store) is not None


async def test_nothing_old_means_nothing_goes(store: AlertStore) -> None:
    number = await opened(store, state="resolved")
    assert await store.expire(NOW) == 0

    assert (await store.incident(number)).state == "resolved"


async def test_a_message_goes_with_its_incident_so_that_no_later_one_of_its_number_edits_it(
    store: AlertStore, database: Database
) -> None:
    outbox = OutboxStore(database)
    for state, at in (("resolved", NOW), ("open", NOW + 1)):
        found = await outcome(store, replace(ALERT, fingerprint=state), incident=incident(state=state, updated_at=at))
        await store.commit(found, [Queued("incident:{incident}:root", "#c", MESSAGE)])
    await store.forward("delivery:7:plain", "#c", MESSAGE, NOW)
    await outbox.sent("delivery:7:plain", 1, "C1", "1.1", NOW)
    kept = [row.key for row in await outbox.latest(10)][1]
    await store.expire(NOW + 500)

    assert [row.key for row in await outbox.latest(10)] == [kept]
