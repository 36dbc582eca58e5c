"""What is asked of PagerDuty about a new incident: in bounded time, of a bounded number, and not of one that is down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from bot.model import Alert, AlertStatus, Change, ServiceHint
from bot.pagerduty import closer
from bot.pagerduty.client import PagerDuty
from bot.pagerduty.closer import REST, Closer
from tests.kit.fake_pagerduty import REQUESTER, TOKEN, FakePagerDuty, Incident, fake_pagerduty
from tests.slack.bench import counted

ID, NAME = ServiceHint("PSVC", "PagerDuty service id", opaque=True), ServiceHint("All of it", "PagerDuty service")
ALERT = Alert("pagerduty", "PABC", AlertStatus.FIRING, 1.0, "It fails", "PABC", (ID, NAME), labels={"own": "1"})
DETAILS = {"id": "A1", "body": {"type": "alert_body", "details": {"service": "payments", "own": "2"}}}


@dataclass(slots=True)
class Scene:
    """A closer whose clock a test moves on, and what it kept."""

    fake: FakePagerDuty
    closer: Closer
    kept: list[Change] = field(default_factory=list)
    now: float = 0.0


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with fake_pagerduty() as fake, aiohttp.ClientSession() as session:
        fake.incidents["PABC"] = Incident(alerts=[DETAILS])

        async def keep(changes: Sequence[Change]) -> None:
            made.kept.extend(changes)

        api = PagerDuty(session, TOKEN, REQUESTER, fake.url)
        made = Scene(fake, Closer(api, keep, patience=0.2, clock=lambda: made.now))
        yield made


def with_id(incident: str) -> Alert:
    return Alert("pagerduty", incident, AlertStatus.FIRING, 1.0, "It fails", incident, (ID, NAME))


async def test_the_alerts_own_names_come_before_a_display_name_and_after_an_id() -> None:
    async with scene() as on:
        seen = await on.closer.look(ALERT, False)

    names = [hint.name for hint in seen.service_hints]
    assert (names[0], names[-1]) == ("PSVC", "All of it")
    assert "payments" in names[1:-1]
    assert seen.labels == {"service": "payments", "own": "1"}


async def test_what_is_known_surely_or_over_is_not_asked_about() -> None:
    async with scene() as on:
        over = Alert("pagerduty", "PABC", AlertStatus.RESOLVED, 1.0, "It fails", "PABC")
        assert await on.closer.look(ALERT, True) is ALERT
        assert await on.closer.look(over, False) is over

        assert on.fake.asked == []


@pytest.mark.parametrize("trouble", ["hang", "drop", 401, 429, 503])
async def test_a_pagerduty_in_trouble_is_left_alone_for_a_while_and_asked_again_then(trouble: str | int) -> None:
    async with scene() as on:
        on.fake.outage = trouble
        assert await on.closer.look(ALERT, False) is ALERT
        assert on.closer.problem
        on.fake.recover()
        asked = len(on.fake.asked)
        assert await on.closer.look(ALERT, False) is ALERT
        assert len(on.fake.asked) == asked

        on.now += REST
        assert (await on.closer.look(ALERT, False)).labels["service"] == "payments"
        assert on.closer.problem == ""


async def test_an_incident_of_another_account_keeps_no_other_from_being_asked_about() -> None:
    async with scene() as on:
        unknown, odd = with_id("PGONE"), with_id("../services")
        assert await on.closer.look(unknown, False) is unknown
        assert await on.closer.look(odd, False) is odd
        assert (await on.closer.look(ALERT, False)).labels["service"] == "payments"
        assert on.closer.problem == ""


async def test_changes_are_asked_for_afterwards_and_one_that_cannot_be_read_spoils_nothing_else() -> None:
    event = {"id": "C1", "timestamp": "2026-11-23T02:44:00Z", "summary": "Deployed 4.2", "services": [{"id": "PSVC"}]}
    async with scene() as on:
        on.fake.incidents["PBAD"] = Incident(changes=[{"id": "C0"}])
        on.fake.incidents["PABC"].changes = [event]
        for one in (with_id("PBAD"), with_id("PGONE"), ALERT):
            await on.closer.look(one, True)
        assert on.fake.asked == []
        await on.closer.tend()
        await on.closer.tend()

        assert [(one.id, one.title, one.service) for one in on.kept] == [("C1", "Deployed 4.2", "psvc")]
        assert len(on.fake.asked) == 3


async def test_changes_that_could_not_be_asked_for_are_asked_for_later() -> None:
    async with scene() as on:
        on.fake.trouble = [503]
        await on.closer.look(ALERT, True)
        await on.closer.tend()
        assert (len(on.fake.asked), on.closer.problem) == (1, "pd_http_503")
        await on.closer.tend()
        assert len(on.fake.asked) == 1

        on.now += REST
        await on.closer.tend()
        assert (len(on.fake.asked), on.closer.problem) == (2, "")


async def test_in_a_storm_the_oldest_incidents_are_not_asked_for_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closer, "MAX_WAITING", 2)
    before = counted("changes_dropped", reason="too many incidents to ask for")
    async with scene() as on:
        for number in range(5):
            await on.closer.look(with_id(f"P{number}"), True)
        await on.closer.tend()

        assert [path.split("/")[2] for _, path in on.fake.asked] == ["P3", "P4"]
    assert counted("changes_dropped", reason="too many incidents to ask for") == before + 3
