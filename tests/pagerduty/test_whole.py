"""The bot with a PagerDuty account, end to end: webhooks in, a note out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp

from bot.model import Change
from tests.kit.alerts import alertmanager, pagerduty, pagerduty_headers, rfc3339
from tests.kit.bots import alertmanager_headers, bot, get, until
from tests.kit.fake_pagerduty import REQUESTER, TOKEN, FakePagerDuty, Incident, fake_pagerduty
from tests.kit.spans import PROTOBUF, calls


def writing(fake: FakePagerDuty, **changes: Any) -> dict[str, Any]:
    """The settings of a bot that writes notes."""
    return {"pagerduty_api_token": TOKEN, "pagerduty_api_url": fake.url, "pagerduty_from": REQUESTER} | changes


async def learn(session: aiohttp.ClientSession) -> None:
    """A map on which web calls checkout, which calls payments."""
    body = calls([("web", "checkout"), ("checkout", "payments")], count=5, at=time.time() - 30)
    async with session.post("/v1/traces", data=body, headers=PROTOBUF) as answer:
        assert answer.status == 200

    async def known() -> bool:
        async with session.get("/api/v1/services/payments") as answer:
            return answer.status == 200

    await until(known, "the chain was not learnt")


async def send(session: aiohttp.ClientSession, body: bytes) -> None:
    async with session.post("/webhooks/pagerduty", data=body, headers=pagerduty_headers(body)) as answer:
        assert answer.status == 202, await answer.text()


async def noted(fake: FakePagerDuty, incident: str, words: str) -> str:
    """The one note of an incident, once it has these words."""

    async def there() -> str:
        notes = [one["content"] for one in fake.incidents[incident].notes]
        assert len(notes) < 2
        return notes[0] if notes and words in notes[0] else ""

    return str(await until(there, f"no note with {words!r}"))


async def test_an_incident_gets_a_note_that_follows_it_until_it_is_resolved(tmp_path: Path) -> None:
    async with fake_pagerduty() as fake, bot(tmp_path, **writing(fake)) as (_, session):
        fake.incidents["Q1234"] = Incident()
        await learn(session)
        began = time.time() - 60
        await send(session, pagerduty(created=began))
        first = await noted(fake, "Q1234", "payments is failing")
        await send(session, pagerduty("incident.acknowledged", created=began))
        await noted(fake, "Q1234", "(acknowledged)")
        await send(session, pagerduty("incident.resolved", created=began))
        last = await noted(fake, "Q1234", "payments recovered")

    assert "Hit now 0 of 2" in first
    assert "checkout" in first
    assert last.splitlines()[-1].endswith("[topology-bot]")


async def test_an_alert_from_elsewhere_that_joins_the_incident_changes_its_note(tmp_path: Path) -> None:
    async with fake_pagerduty() as fake, bot(tmp_path, **writing(fake)) as (_, session):
        fake.incidents["Q1234"] = Incident()
        await learn(session)
        await send(session, pagerduty())
        await noted(fake, "Q1234", "payments is failing")
        async with session.post(
            "/webhooks/alertmanager", json=alertmanager(), headers=alertmanager_headers()
        ) as answer:
            assert answer.status == 202
        await noted(fake, "Q1234", "alertmanager ×1")


async def test_the_incidents_own_alerts_name_the_service_where_the_webhook_does_not(tmp_path: Path) -> None:
    details = {"firing": "Labels:\n - alertname = Errors\n - service = payments\nAnnotations:\n - service = checkout\n"}
    async with fake_pagerduty() as fake, bot(tmp_path, **writing(fake)) as (_, session):
        fake.incidents["Q1234"] = Incident(alerts=[{"id": "A1", "body": {"type": "alert_body", "details": details}}])
        await learn(session)
        await send(session, pagerduty(service="Everything we page for"))
        await noted(fake, "Q1234", "payments is failing")


async def test_custom_fields_are_filled_with_the_facts_they_were_given(tmp_path: Path) -> None:
    fields = "failing=services,impact=at_risk"
    async with fake_pagerduty() as fake, bot(tmp_path, **writing(fake, pagerduty_fields=fields)) as (_, session):
        fake.incidents["Q1234"] = Incident()
        fake.custom_fields = {"failing", "impact"}
        await learn(session)
        await send(session, pagerduty())
        await noted(fake, "Q1234", "payments is failing")

    assert fake.incidents["Q1234"].fields == {"failing": "payments", "impact": "checkout, web"}


async def test_related_changes_become_changes_of_the_service_they_are_about(tmp_path: Path) -> None:
    change = {"id": "C1", "timestamp": rfc3339(time.time() - 600), "summary": "Deployed payments 4.2", "source": "ci",
              "services": [{"id": "PF9KMXH"}], "links": [{"href": "https://ci.example/1"}]}  # fmt: skip
    async with fake_pagerduty() as fake, bot(tmp_path, **writing(fake)) as (running, session):
        fake.incidents["Q1234"] = Incident(changes=[change])
        await send(session, pagerduty())
        await noted(fake, "Q1234", "payments")

        async def kept() -> list[Change]:
            return list(running.view.changes.of("pf9kmxh", time.time() - 3_600, time.time()))

        [found] = await until(kept, "the change did not come")
    assert (found.title, found.link, found.source) == ("Deployed payments 4.2", "https://ci.example/1", "pagerduty")


async def test_a_bot_without_a_user_to_write_as_reads_and_writes_nothing(tmp_path: Path) -> None:
    async with fake_pagerduty() as fake, bot(tmp_path, **writing(fake, pagerduty_from="")) as (running, session):
        fake.incidents["Q1234"] = Incident()
        await send(session, pagerduty())

        async def posted() -> bool:
            return any(row.sent_revision for row in await running.outbox.latest(5))

        await until(posted, "the message did not go out")
        doctor = await get(session, "/api/v1/doctor")

    assert {method for method, _ in fake.asked} == {"GET"}
    assert doctor["feeds"]["pagerduty"]["writes_notes"] is False


async def test_the_doctor_says_that_the_token_is_refused(tmp_path: Path) -> None:
    async with fake_pagerduty() as fake, bot(tmp_path, **writing(fake, pagerduty_api_token="wrong")) as (_, session):

        async def told() -> bool:
            return any("pd_unauthorized" in one for one in (await get(session, "/api/v1/doctor"))["problems"])

        await until(told, "the doctor said nothing")
