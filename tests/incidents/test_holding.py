"""Incidents in quiet hours: held back, released, told of in the morning, whatever happens on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.alerts import alertmanager as alertmanager_door
from bot.app import Running
from bot.enrich.facts import IncidentFacts
from bot.enrich.manners import Manners
from bot.incidents import steps
from bot.incidents.case import Case
from bot.incidents.holding import hold
from bot.incidents.path import run
from bot.incidents.quiet import Quiet, parse_quiet_hours
from bot.incidents.steps import AlertPath
from bot.incidents.telling import Etiquette
from bot.model import Alert, Message
from bot.morning import Morning
from bot.slack.thread_views import IncidentWords
from bot.storage.alert_records import Outcome
from bot.storage.alert_store import AlertStore
from bot.storage.database import Database
from bot.storage.digest_store import DigestStore
from bot.storage.hold_store import HoldStore
from bot.storage.outbox_store import OutboxStore
from tests.incidents.test_decide import FACTS
from tests.incidents.test_path import CATALOG, alert, learn, message, roots, send, thread
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until
from tests.kit.maps import MapMaker
from tests.kit.spans import calls

QUIET = Quiet(2_000.0, "quiet hours: * 22:00-07:00 UTC")
HELD = Manners(held_since=500.0, held_until=2_000.0)
WARNING = replace(FACTS, severity="warning")
ALWAYS = {"quiet_hours": "* mon-sun UTC"}


# -- the decision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "changes", "quiet", "foremost", "verdict", "reason"),
    [
        (None, {}, None, "", "", ""),
        (None, {}, QUIET, "", "held", "quiet hours: * 22:00-07:00 UTC"),
        (None, {"severity": "critical"}, QUIET, "", "posted", "it is critical"),
        (None, {"severity": "P1"}, QUIET, "", "posted", "it is P1"),
        (None, {"severity": ""}, QUIET, "", "posted", "nobody knows how bad '' is"),
        (None, {"severity": "purple"}, QUIET, "", "posted", "nobody knows how bad 'purple' is"),
        (None, {}, QUIET, "checkout", "posted", "checkout, of the first tier, is hit"),
        (None, {"map": None}, QUIET, "", "posted", "the map cannot be read, so nobody knows who is hit"),
        (HELD, {}, QUIET, "", "held", "quiet hours: * 22:00-07:00 UTC"),
        (HELD, {"severity": "critical"}, QUIET, "", "posted", "it is critical"),
        (HELD, {}, QUIET, "checkout", "posted", "checkout, of the first tier, is hit"),
        (HELD, {}, None, "", "posted", "quiet hours are over, and it is still open"),
        (HELD, {"state": "acknowledged"}, None, "", "posted", "quiet hours are over, and it is still open"),
        (HELD, {"state": "resolved"}, QUIET, "", "held", "it is over, and nobody was told"),
        (HELD, {"state": "resolved", "severity": "critical"}, None, "", "held", "it is over, and nobody was told"),
        (Manners(), {}, QUIET, "", "", ""),
        (Manners(held_since=500.0), {"severity": "info"}, QUIET, "", "", ""),
    ],
)  # fmt: skip
def test_every_way_an_incident_can_go(
    before: Manners | None, changes: dict[str, Any], quiet: Quiet | None, foremost: str, verdict: str, reason: str
) -> None:
    found = hold(before, replace(WARNING, **changes), quiet, foremost)

    assert (found.verdict, found.reason) == (verdict, reason)
    assert (found.until > 0) is (verdict == "held")


# -- end to end --------------------------------------------------------------------------------------------------------


async def incident(session: aiohttp.ClientSession, number: int = 1) -> dict[str, Any]:
    return dict(await get(session, f"/api/v1/incidents/{number}"))


async def known(session: aiohttp.ClientSession, check: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """The first incident, once it is as it should be."""

    async def there() -> dict[str, Any] | None:
        async with session.get("/api/v1/incidents/1") as answer:
            found = await answer.json() if answer.status == 200 else None
        return found if found and check(found) else None

    return dict(await until(there, what, 20))


def decided(found: dict[str, Any], step: str = "quiet hours") -> list[tuple[str, str]]:
    return [(one["verdict"], one["reason"]) for one in found["decisions"] if one["step"] == step]


def warning(service: str = "payments", status: str = "firing", **changes: Any) -> dict[str, Any]:
    labels = {"severity": "warning"} | changes.pop("labels", {})
    return alertmanager(service, status, labels=labels, **changes)


async def rows(running: Running) -> list[Any]:
    return await running.outbox.latest(50)


async def test_a_warning_in_the_night_is_kept_and_said_nowhere(tmp_path: Path) -> None:
    async with bot(tmp_path, rethink_seconds=1.0, **ALWAYS) as (running, session):
        await learn(session)
        await alert(session, warning())
        found = await known(session, lambda one: bool(decided(one)), "nothing was decided")
        await alert(session, warning(fingerprint="00000000000000c1"))
        await known(session, lambda one: len(one["alerts"]) == 2, "the second alert did not join")
        again = await incident(session)
        said = await rows(running)

    assert decided(found) == [("held", "quiet hours: * mon-sun UTC")]
    assert {verdict for verdict, _ in decided(again, "decide")} == {"keep"}
    assert said == []
    assert again["state"] == "open"


async def test_one_that_is_over_by_itself_is_never_posted_and_told_of_once_in_the_morning(tmp_path: Path) -> None:
    started = time.time() - 300
    async with bot(tmp_path, rethink_seconds=1.0, channel="#ops", **ALWAYS) as (running, session):
        await alert(session, warning(started=started))
        await known(session, lambda one: one["state"] == "open", "it is not known")
        await alert(session, warning(status="resolved", started=started))
        await known(session, lambda one: one["state"] == "resolved", "it is not over")
        assert await rows(running) == []

    database = Database(f"sqlite:///{tmp_path}/bot.db")
    view, woken = MapMaker().view, []
    later = time.time() + 9 * 86_400
    now = iter((time.time(), later, later))  # while it is quiet; in the morning; and after a restart
    for _ in range(3):
        moment = next(now)
        store = HoldStore(database)
        await Morning(view, store, DigestStore(database), lambda: woken.append(1), partial(float, moment)).tick()
    said = await OutboxStore(database).latest(10)
    await database.close()

    (row,) = said
    assert row.channel == "#ops"
    assert row.message.text.splitlines()[0] == "*Held in quiet hours*: 1 incident, 1 over by itself"
    assert "• 1: *payments*: HighErrorRate, <!date^" in row.message.text
    assert woken == [1]


async def test_what_becomes_critical_is_posted_at_once_as_it_is_by_then(tmp_path: Path) -> None:
    async with bot(tmp_path, routes="severity=critical -> #loud", **ALWAYS) as (running, session):
        await learn(session)
        await alert(session, warning())
        await known(session, lambda one: bool(decided(one)), "nothing was decided")
        assert await rows(running) == []
        await alert(session, alertmanager("payments", fingerprint="00000000000000c1"))
        text = await message(running)
        found = await incident(session)
        root = (await roots(running))[0]
        posts = await thread(running)

    assert text.startswith("🔴 *payments* is failing")
    assert "Alertmanager ×2" in text
    assert decided(found)[-1] == ("posted", "it is critical")
    assert decided(found, "decide")[-1] == ("post", "it is critical")
    assert root.channel == "#loud"
    assert not any("alerts, too" in one for one in posts)  # what happened before is in the message, not news


async def test_a_service_of_the_first_tier_that_is_hit_does_not_wait(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with bot(tmp_path, catalog=tmp_path / "services.yaml", **ALWAYS) as (running, session):
        await learn(session)  # checkout, of the first tier, fails because of payments
        await alert(session, warning())
        await message(running)
        found = await incident(session)

    assert decided(found) == [("posted", "checkout, of the first tier, is hit")]


async def test_a_warning_of_a_first_tier_service_that_hits_nobody_waits_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with bot(tmp_path, catalog=tmp_path / "services.yaml", **ALWAYS) as (running, session):
        await learn(session, failing=False)
        await alert(session, warning())
        found = await known(session, lambda one: bool(decided(one)), "nothing was decided")
        said = await rows(running)

    assert [verdict for verdict, _ in decided(found)] == ["held"]
    assert said == []


async def test_when_quiet_hours_end_what_is_open_is_posted_also_by_a_bot_that_was_down_meanwhile(
    tmp_path: Path,
) -> None:
    async with bot(tmp_path, **ALWAYS) as (running, session):
        await learn(session)
        await alert(session, warning())
        await known(session, lambda one: bool(decided(one)), "nothing was decided")
        assert await rows(running) == []
    async with bot(tmp_path, rethink_seconds=1.0) as (running, session):
        await message(running)
        found = await incident(session)
        first = [row.key for row in await roots(running)]
    async with bot(tmp_path, rethink_seconds=1.0, **ALWAYS) as (running, session):
        await alert(session, warning(fingerprint="00000000000000c1"))
        await message(running, revision=2)
        again = await roots(running)

    assert decided(found)[-1] == ("posted", "quiet hours are over, and it is still open")
    assert first == ["incident:1:root"]
    assert [row.key for row in again] == first  # and from then on it is edited, whatever the hour


async def test_a_bot_killed_before_the_release_is_stored_releases_it_once_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = AlertStore.commit

    async def dying(self: AlertStore, outcome: Any, messages: Any = ()) -> object:
        if messages:
            raise LookupError("killed")
        return await commit(self, outcome, messages)

    async with bot(tmp_path, **ALWAYS) as (running, session):
        await alert(session, warning())
        await known(session, lambda one: bool(decided(one)), "nothing was decided")
    with monkeypatch.context() as patched:
        patched.setattr(AlertStore, "commit", dying)
        async with bot(tmp_path, rethink_seconds=1.0) as (running, session):

            async def tried() -> bool:
                async with session.get("/metrics") as answer:
                    return 'topology_bot_incidents_rethought_total{outcome="failed"}' in await answer.text()

            await until(tried, "nobody tried to release it", 20)
            assert await rows(running) == []
    async with bot(tmp_path, rethink_seconds=1.0) as (running, session):
        await message(running)
        found = await incident(session)
        keys = [row.key for row in await roots(running)]

    assert keys == ["incident:1:root"]
    assert [verdict for verdict, _ in decided(found)] == ["held", "posted"]


async def test_when_the_map_cannot_be_read_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(steps, "read_map", broken)
    async with bot(tmp_path, **ALWAYS) as (running, session):
        await alert(session, warning())
        assert "Forwarded without the map" in await message(running)


async def test_one_team_that_is_awake_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG.replace("tier: 1", "tier: 2"))
    rules = "team=Payments mon-sun UTC"
    async with bot(tmp_path, catalog=tmp_path / "services.yaml", quiet_hours=rules) as (running, session):
        await learn(session)
        await alert(session, warning())
        await known(session, lambda one: bool(decided(one)), "nothing was decided")
        assert await rows(running) == []
        await alert(session, warning("checkout", fingerprint="00000000000000c1", group="g2"))
        await message(running)
        found = await incident(session)

    assert decided(found)[-1] == ("posted", "quiet hours are over, and it is still open")


async def test_two_held_incidents_that_are_one_stay_silent_and_count_as_one(tmp_path: Path) -> None:
    async with bot(tmp_path, **ALWAYS) as (running, session):
        await two_that_need_payments(running, session)
        await alert(session, warning("payments", fingerprint="00000000000000aa", group="g9"))

        async def folded() -> bool:
            async with session.get("/api/v1/incidents/2") as answer:
                return answer.status == 200 and (await answer.json())["state"] == "resolved"

        await until(folded, "the two were not folded together", 20)
        said = await rows(running)
        database = Database(f"sqlite:///{tmp_path}/bot.db")
        held = await HoldStore(database).between(0, time.time() + 60)
        await database.close()

    assert said == []
    assert [(one.incident, one.hold.state) for one in held] == [(1, "held")]


async def test_a_held_incident_that_takes_in_a_posted_one_is_posted_too(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("services:\n  - {id: checkout, team: A}\n  - {id: invoices, team: B}\n")
    async with bot(tmp_path, catalog=tmp_path / "services.yaml", quiet_hours="team=A mon-sun UTC") as (
        running,
        session,
    ):
        await two_that_need_payments(running, session)
        await message(running)
        await alert(session, warning("payments", fingerprint="00000000000000aa", group="g9"))

        async def folded() -> bool:
            return any(row.message.text.startswith("🔗") for row in await roots(running))

        await until(folded, "the two were not folded together", 20)
        found = await incident(session)
        keys = sorted(row.key for row in await roots(running))

    assert keys == ["incident:1:root", "incident:2:root"]
    assert [verdict for verdict, _ in decided(found)] == ["held", "posted"]


async def two_that_need_payments(running: Running, session: aiohttp.ClientSession) -> None:
    """checkout and invoices both call payments; both warn, and nobody knows yet that they are one."""
    now = time.time()
    for minutes in range(20, 0, -4):
        body = calls([("checkout", "payments"), ("invoices", "payments")], count=5, at=now - minutes * 60)
        await send(session, body)

    async def learnt() -> bool:
        return running.view.graph.edge_count == 2

    await until(learnt, "the map did not learn the calls")
    for number, service in enumerate(("checkout", "invoices")):
        await alert(session, warning(service, fingerprint=f"{number:016x}", group=f"g{number}"))
    await known(session, lambda one: bool(decided(one)), "nothing was decided")


async def test_the_note_at_pagerduty_is_kept_while_slack_is_quiet(tmp_path: Path) -> None:
    """Notes are asked of the steps whenever the message would read otherwise; they wake nobody."""
    noted: list[str] = []

    def notes(facts: IncidentFacts, alerts: Sequence[Alert]) -> list[tuple[str, str, Message]]:
        noted.append(f"{facts.state} {len(alerts)}")
        return []

    started = time.time() - 60
    database = Database(f"sqlite:///{tmp_path}/notes.db")
    await database.upgrade()
    store, view = AlertStore(database), MapMaker("web>payments").view
    etiquette = Etiquette(quiet_hours=[parse_quiet_hours("* mon-sun UTC")])
    parsers = {alertmanager_door.SOURCE: alertmanager_door.parse}
    path = AlertPath(store, view, parsers, IncidentWords(), "#ops", notes=notes, etiquette=etiquette)
    bodies = [warning(started=started), warning(started=started), warning(status="resolved", started=started)]
    for number, body in enumerate(bodies):
        now = time.time()
        raw = json.dumps(body).encode()
        delivery = await store.store_delivery("alertmanager", f"k{number}", {}, raw, now, None)
        assert delivery is not None
        (waiting,) = await store.waiting(5)
        case = Case(waiting, now, Outcome(delivery, now, ""))
        verdict, _ = await run(path.arriving(), case)
        if not case.parts:
            await store.commit(Outcome(delivery, now, verdict))
        for part in case.parts:
            assert (await run(path.steps(), part))[1] is None
    said = await OutboxStore(database).latest(5)
    await database.close()

    assert noted == ["open 1", "resolved 1"]
    assert said == []
