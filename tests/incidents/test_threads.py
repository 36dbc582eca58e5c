"""An incident's thread end to end: evidence, what joins and why, and the closing line with its question."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import aiohttp

from bot.app import Running
from tests.incidents.test_path import alert, learn, message, roots, thread
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until


async def posted(running: Running, count: int, incident: int = 1) -> list[str]:
    async def there() -> list[str]:
        found = await thread(running, incident)
        return found if len(found) >= count else []

    found: list[str] = await until(there, f"the thread has no {count} posts", 20)
    return found


async def test_evidence_comes_first_then_the_alerts_that_the_map_explains(tmp_path: Path) -> None:
    async with bot(tmp_path, rethink_seconds=1.0) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        await message(running)
        (evidence,) = await posted(running, 1)
        assert evidence.splitlines()[0] == "*From payments to ledger*"
        assert "↳ payments → ledger · 100% of " in evidence
        assert "calls fail · traces " in evidence

        await alert(session, alertmanager("checkout", fingerprint="c1", group="another"))
        await alert(session, alertmanager("ledger", fingerprint="l1", group="a third"))
        text = await message(running, revision=3)
        rows = await roots(running)
        decisions = (await get(session, "/api/v1/incidents/1"))["decisions"]

    assert len(rows) == 1
    assert text.splitlines()[0].startswith("🔴 *ledger* and 2 more are failing · likely cause: itself (")
    joined = [(one["verdict"], one["reason"]) for one in decisions if one["step"] == "correlate"]
    assert joined == [
        ("new", "no open incident shares its group or its service, or explains it"),
        ("predicted", "incident 1 said that checkout would be hit"),
        ("likely_cause", "ledger is what incident 1 likely comes from"),
    ]


async def test_one_delivery_about_two_incidents_concerns_both(tmp_path: Path) -> None:
    started = time.time() - 100
    async with bot(tmp_path) as (running, session):
        await learn(session, failing=False)
        await alert(session, alertmanager("payments", fingerprint="p1", group="g1", started=started))
        await alert(session, alertmanager("elsewhere", fingerprint="e1", group="g2", started=started))
        await message(running, index=1)
        body = alertmanager("payments", status="resolved", fingerprint="p1", group="g3", started=started)
        other = alertmanager("elsewhere", status="resolved", fingerprint="e1", group="g3", started=started)
        body["alerts"] += other["alerts"]
        await alert(session, body)

        async def both_over() -> bool:
            return sorted(row.message.text.split()[1] for row in await roots(running) if "✅" in row.message.text) == [
                "*elsewhere*", "*payments*",
            ]  # fmt: skip

        await until(both_over, "the two incidents are not both over")
        deliveries = [one["decisions"] for one in [await get(session, f"/api/v1/incidents/{n}") for n in (1, 2)]]

    assert [[one["verdict"] for one in each if one["step"] == "dedupe"] for each in deliveries] == [
        ["new", "resolved"]
    ] * 2


async def test_when_it_is_over_the_thread_says_what_was_predicted_and_asks_for_the_cause(tmp_path: Path) -> None:
    started = time.time() - 600
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments", started=started))
        await posted(running, 1)
        await alert(session, alertmanager("payments", status="resolved", started=started))
        closing = (await posted(running, 2))[-1]
        row = next(row for row in await running.outbox.latest(9) if row.key == "incident:1:thread:1")
        await said(session)

    assert closing.startswith("🏁 Resolved ")
    assert closing.endswith("(10 min). Predicted 2, hit 2, missed 0. Was it *ledger*?")
    buttons = {one["text"]["text"]: one["value"] for one in cast(Any, row.message.blocks[-1]["elements"])}
    assert buttons["Yes"] == "confirm 1 ledger"
    assert buttons["Something else"] == "confirm 1 none"


async def said(session: aiohttp.ClientSession) -> None:
    assert (await get(session, "/api/v1/incidents/1"))["state"] == "resolved"


async def test_a_bot_that_is_started_again_knows_what_is_open(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        await message(running)
    async with bot(tmp_path) as (running, session):
        await alert(session, alertmanager("checkout", fingerprint="c1", group="another"))
        await message(running, revision=2)
        rows = await roots(running)

    assert len(rows) == 1


async def test_where_the_map_is_not_asked_only_group_and_service_join(tmp_path: Path) -> None:
    async with bot(tmp_path, correlate_seconds=0) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        await alert(session, alertmanager("checkout", fingerprint="c1", group="another"))
        await message(running, index=1)
        rows = await roots(running)

    assert len(rows) == 2
