"""The alert path end to end in one process: a webhook in, a message out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Running
from bot.incidents import steps, telling
from bot.model import OutboxRow
from tests.kit.alerts import alertmanager, pagerduty, pagerduty_headers
from tests.kit.bots import alertmanager_headers, bot, get, until
from tests.kit.spans import PROTOBUF, calls

CATALOG = """\
services:
  - {id: payments, team: Payments, slack: "@pay-oncall", tier: 1, aliases: [pay-svc-prod], pagerduty_service_id: PF9KMXH}
  - {id: checkout, team: Checkout, tier: 1}
"""


async def learn(session: aiohttp.ClientSession, failing: bool = True) -> None:
    """web -> checkout -> payments -> ledger, healthy for a while; then payments and checkout fail."""
    chain = [("web", "checkout"), ("checkout", "payments"), ("payments", "ledger")]
    now = time.time()
    for minutes in range(20, 4, -1):
        await send(session, calls(chain, count=5, at=now - minutes * 60))
    if failing:
        await send(session, calls(chain, count=20, at=now - 30, failed=True))

    async def known() -> bool:
        async with session.get("/api/v1/services/ledger/dependents") as answer:
            if answer.status != 200 or (await answer.json())["total"] != 3:
                return False
        rates = (await get(session, "/api/v1/services/ledger"))["rates"]
        return bool(rates["error_rate"]) is failing

    await until(known, "the chain was not learnt")


async def send(session: aiohttp.ClientSession, body: bytes) -> None:
    async with session.post("/v1/traces", data=body, headers=PROTOBUF) as answer:
        assert answer.status == 200


async def alert(session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
        assert answer.status == 202, await answer.text()


async def roots(running: Running) -> list[OutboxRow]:
    """The messages that are no thread's, newest first."""
    return [row for row in await running.outbox.latest(50) if row.parent_key is None]


async def thread(running: Running, incident: int = 1) -> list[str]:
    """What stands in an incident's thread, in order."""
    rows = [row for row in reversed(await running.outbox.latest(200)) if row.parent_key == f"incident:{incident}:root"]
    return [row.message.text for row in rows]


async def message(running: Running, revision: int = 1, index: int = 0) -> str:
    async def sent() -> str:
        rows = [row for row in reversed(await roots(running)) if row.sent_revision >= revision]
        return rows[index].message.text if len(rows) > index else ""

    return str(await until(sent, f"message {index} did not reach revision {revision}"))


async def test_the_message_says_what_fails_how_badly_who_is_hit_and_who_owns_it(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with bot(tmp_path, catalog=tmp_path / "services.yaml") as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments", labels={"env": "prod"}))
        text = await message(running)

    lines = text.splitlines()
    assert lines[0].startswith("🔴 *payments* is failing · likely cause: *ledger* (")
    assert "*Why ledger*: " in text
    assert "not explained by what it calls" in text
    assert "ledger: no owner known" in text
    assert lines[1].startswith("errors 100% (was 0%) · since ")
    assert "Alertmanager ×1 · prod · critical" in lines[1]
    assert "*Hit now* 2 of 2: " in text
    assert "payments → ledger errors 100% (was 0%)" in text
    assert "payments → @pay-oncall" in text
    assert "reported in the last 2 min" in text


async def test_a_healthy_caller_is_at_risk_and_not_hit(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session, failing=False)
        await alert(session, alertmanager("payments"))
        text = await message(running)

    assert "*Hit now* 0 of 2" in text
    assert "*At risk* 2: " in text
    assert "*Likely cause*: not named: nothing around payments is clearly unusual" in text
    assert "*Ruled out*: ledger" in text


async def test_an_alias_finds_the_service(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with bot(tmp_path, catalog=tmp_path / "services.yaml") as (running, session):
        await learn(session)
        await alert(session, alertmanager("pay-svc-prod"))

        assert (await message(running)).startswith("🔴 *payments* is failing")


async def test_an_unknown_service_is_posted_all_the_same_with_the_closest_names(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("paymentz"))
        text = await message(running)

    assert text.startswith("🔴 *paymentz* is failing")
    assert "*paymentz* is on no map; closest: payments" in text


async def test_an_alert_that_names_no_service_is_posted_by_its_title(tmp_path: Path) -> None:
    body = alertmanager("x", name="DiskFull")
    del body["alerts"][0]["labels"]["service"]
    async with bot(tmp_path) as (running, session):
        await alert(session, body)

        assert (await message(running)).startswith("🔴 *DiskFull* (the alert names no service)")


async def test_resolving_edits_the_same_message_down_to_two_lines(tmp_path: Path) -> None:
    started = time.time() - 600
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments", started=started))
        await message(running)
        await alert(session, alertmanager("payments", status="resolved", started=started))
        text = await message(running, revision=2)
        rows = await roots(running)

    assert text.splitlines()[0] == "✅ *payments* recovered"
    assert "(10 min)" in text
    assert len(text.splitlines()) == 2
    assert len(rows) == 1


async def test_alerts_of_two_sources_on_one_service_are_one_incident(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with bot(tmp_path, catalog=tmp_path / "services.yaml") as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        await message(running)
        body = pagerduty(service="Payments API")
        async with session.post("/webhooks/pagerduty", data=body, headers=pagerduty_headers(body)) as answer:
            assert answer.status == 202
        text = await message(running, revision=2)
        rows = await roots(running)

    assert "Alertmanager ×1, PagerDuty #1234" in text
    assert len(rows) == 1


async def test_an_acknowledged_incident_says_so(tmp_path: Path) -> None:
    created = time.time() - 60
    async with bot(tmp_path) as (running, session):
        for revision, event in enumerate(("incident.triggered", "incident.acknowledged", "incident.resolved"), start=1):
            body = pagerduty(event, created=created)
            async with session.post("/webhooks/pagerduty", data=body, headers=pagerduty_headers(body)) as answer:
                assert answer.status == 202
            text = await message(running, revision)
            assert text[0] == "🔴🟠✅"[revision - 1]


async def test_the_same_service_in_another_environment_is_another_incident(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments", labels={"env": "prod"}, fingerprint="a1", group="g1"))
        await alert(session, alertmanager("payments", labels={"env": "staging"}, fingerprint="a2", group="g2"))
        await message(running, index=1)
        rows = await roots(running)

    assert len(rows) == 2


async def test_a_group_of_many_alerts_is_one_message_with_the_right_count(tmp_path: Path) -> None:
    body = alertmanager("payments")
    body["alerts"] = [body["alerts"][0] | {"fingerprint": f"f{number}"} for number in range(300)]
    async with bot(tmp_path) as (running, session):
        await alert(session, body)
        text = await message(running)
        rows = await roots(running)

    assert "Alertmanager ×300" in text
    assert len(rows) == 1


async def test_a_late_resolve_of_an_alert_nobody_saw_says_nothing(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await alert(session, alertmanager("payments", status="resolved"))
        await alert(session, alertmanager("checkout"))
        await message(running)
        rows = await roots(running)

    assert [row.message.text.splitlines()[0] for row in rows] == ["🔴 *checkout* is failing"]


async def test_an_alert_that_fires_again_after_it_was_resolved_is_not_taken_for_a_repeat(tmp_path: Path) -> None:
    """Alertmanager resolves what Prometheus stops sending and fires it again with the same start."""
    started = time.time() - 300
    async with bot(tmp_path) as (running, session):
        await alert(session, alertmanager(started=started))
        await alert(session, alertmanager(status="resolved", started=started))
        await message(running, revision=2)
        await alert(session, alertmanager(started=started))

        assert (await message(running, revision=3)).startswith("🔴")


async def test_when_the_map_cannot_be_read_the_alert_is_forwarded_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(steps, "read_map", broken)
    async with bot(tmp_path) as (running, session):
        await alert(session, alertmanager("payments"))
        text = await message(running)

    assert "payments" in text
    assert "Forwarded without the map: enrich failed (ZeroDivisionError)" in text


async def test_when_even_the_decision_fails_the_alert_is_forwarded_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(telling, "message_action", broken)
    monkeypatch.setattr("bot.incidents.path._RETRY_SECONDS", 0.01)
    async with bot(tmp_path) as (running, session):
        await alert(session, alertmanager("payments"))
        text = await message(running)
        found = await get(session, "/api/v1/doctor")

    assert "*HighErrorRate*" in text
    assert "decide failed: ZeroDivisionError" in text
    assert any("could not be worked" in problem for problem in found["problems"])


async def test_without_likely_causes_the_message_still_has_all_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(steps, "rank", broken)
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        text = await message(running)

    assert text.splitlines()[0] == "🔴 *payments* is failing"
    assert "*Hit now* 2 of 2: " in text
    assert "causes failed (ZeroDivisionError): what it would have said is missing" in text


async def test_every_decision_is_stored_with_its_reason(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        await message(running)
        decisions = await running.alerts.decisions(1)

    made = [(one.step, one.verdict) for one in decisions]
    assert made == [
        ("dedupe", "new"),
        ("find service", "payments"),
        ("correlate", "new"),
        ("causes", "named ledger"),
        ("decide", "post"),
    ]
    assert all(one.reason for one in decisions)


async def test_hostile_alert_text_cannot_mention_anybody(tmp_path: Path) -> None:
    annotations = {"summary": "\u202e<!subteam^S1> *bold* `x`"}
    body = alertmanager("<!channel>", name="<@U123> & <!here>", annotations=annotations)
    async with bot(tmp_path) as (running, session):
        await alert(session, body)
        text = await message(running)
        row = (await roots(running))[0]

    for said in (text, str(row.message.blocks)):
        for mention in ("<!channel", "<@U123", "<!here", "<!subteam", "\u202e"):
            assert mention not in said
