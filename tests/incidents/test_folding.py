"""Incidents that turn out to be one are folded together, whatever happens on the way."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest

from bot import metrics
from bot.app import Running
from bot.errors import BotError
from bot.storage.alert_store import AlertStore
from tests.incidents.test_path import alert, message, roots, send, thread
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until
from tests.kit.spans import calls


async def two_that_need_payments(running: Running, session: aiohttp.ClientSession) -> None:
    """checkout and invoices both call payments, and nobody fails yet; then both alert."""
    now = time.time()
    for minutes in range(20, 0, -4):
        await send(session, calls([("checkout", "payments"), ("invoices", "payments")], count=5, at=now - minutes * 60))

    async def known() -> bool:
        return running.view.graph.edge_count == 2

    await until(known, "the map did not learn the calls")
    for number, service in enumerate(("checkout", "invoices")):
        await alert(session, alertmanager(service, fingerprint=f"{number:016x}", group=f"g{number}"))
        await message(running, index=number)


async def folded(running: Running) -> bool:
    return any(row.message.text.startswith("🔗") for row in await roots(running))


async def test_a_deeper_cause_that_alerts_makes_one_incident_of_two(tmp_path: Path) -> None:
    before = metrics.INCIDENTS_FOLDED._value.get()
    async with bot(tmp_path) as (running, session):
        await two_that_need_payments(running, session)
        await alert(session, alertmanager("payments", fingerprint="00000000000000aa", group="g9"))
        await until(lambda: folded(running), "the two were not folded together", 20)

        first = await get(session, "/api/v1/incidents/1")
        second = await get(session, "/api/v1/incidents/2")
        younger = next(row for row in await roots(running) if row.key == "incident:2:root")

    assert younger.message.text.splitlines() == [
        "🔗 *invoices*: part of incident 1, _HighErrorRate_", "invoices needs payments, which fails in incident 1",
    ]  # fmt: skip
    assert sorted(one["service"] for one in first["alerts"]) == ["checkout", "invoices", "payments"]
    assert (first["state"], second["state"], second["alerts"]) == ("open", "resolved", [])
    reasons = [one["reason"] for one in first["decisions"] if one["verdict"] == "folded"]
    assert reasons == ["incident 2: invoices needs payments, which fails in incident 1"]
    assert metrics.INCIDENTS_FOLDED._value.get() == before + 1


async def test_an_alert_of_the_folded_incident_ends_in_the_other(tmp_path: Path) -> None:
    async with bot(tmp_path, rethink_seconds=1.0) as (running, session):
        await two_that_need_payments(running, session)
        await alert(session, alertmanager("payments", fingerprint="00000000000000aa", group="g9"))
        await until(lambda: folded(running), "the two were not folded together", 20)
        for number, service in ((0, "checkout"), (1, "invoices"), (0xAA, "payments")):
            started = next(
                one["starts_at"]
                for one in (await get(session, "/api/v1/incidents/1"))["alerts"]
                if one["service"] == service
            )
            body = alertmanager(service, status="resolved", fingerprint=f"{number:016x}", group="whatever")
            body["alerts"][0]["startsAt"] = started
            await alert(session, body)

        async def over() -> bool:
            return str((await get(session, "/api/v1/incidents/1"))["state"]) == "resolved"

        await until(over, "the incident is not over", 20)
        told = await thread(running)

    assert any("🔗 The incident about *invoices* is part of this one" in post for post in told)
    assert "🏁 Resolved" in told[-1]


async def test_where_folding_fails_both_stay_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = AlertStore.commit

    async def failing(self: AlertStore, outcome: object, messages: object = ()) -> object:
        if getattr(outcome, "folded", ()):
            raise BotError("the disk is full")
        return await commit(self, outcome, messages)  # type: ignore[arg-type]

    monkeypatch.setattr(AlertStore, "commit", failing)
    async with bot(tmp_path) as (running, session):
        await two_that_need_payments(running, session)
        await alert(session, alertmanager("payments", fingerprint="00000000000000aa", group="g9"))
        await message(running, revision=2)
        states = [(await get(session, f"/api/v1/incidents/{number}"))["state"] for number in (1, 2)]

    assert states == ["open", "open"]
