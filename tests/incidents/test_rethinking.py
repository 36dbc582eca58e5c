"""Open incidents are thought about again: when trouble spreads, and when there was no time at first."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest

from bot import metrics
from bot.app import Running
from bot.enrich.view import MapView
from bot.history import History
from tests.incidents.test_path import alert, learn, message, roots, send
from tests.kit.alerts import alertmanager
from tests.kit.bots import bot, get, until
from tests.kit.spans import calls


async def decisions(session: aiohttp.ClientSession, incident: int) -> list[tuple[str, str]]:
    found = await get(session, f"/api/v1/incidents/{incident}")
    return [(one["step"], one["verdict"]) for one in found["decisions"]]


def rethought(outcome: str) -> float:
    return float(metrics.RETHOUGHT.labels(outcome)._value.get())


async def test_a_message_follows_trouble_that_spreads_after_its_alert(tmp_path: Path) -> None:
    async with bot(tmp_path, rethink_seconds=1.0) as (running, session):
        await learn(session, failing=False)
        await alert(session, alertmanager("ledger"))
        assert "*Hit now* 0 of 3" in await message(running)

        now = time.time()
        chain = [("web", "checkout"), ("checkout", "payments"), ("payments", "ledger")]
        await send(session, calls(chain, count=40, at=now - 5, failed=True))

        async def followed() -> bool:
            return "*Hit now* 3 of 3" in (await roots(running))[0].message.text

        await until(followed, "the message did not follow", 20)
        said = await decisions(session, 1)
    assert said[-1] == ("decide", "edit")
    assert ("causes", "named ledger") in said


async def test_a_message_about_which_nothing_is_new_is_left_alone(tmp_path: Path) -> None:
    async with bot(tmp_path, rethink_seconds=1.0) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        await message(running)
        before, asked = (await roots(running))[0].revision, rethought("leave")

        async def looked() -> bool:
            return rethought("leave") >= asked + 2

        await until(looked, "nobody thought about the incident again", 20)
        after = (await roots(running))[0].revision
        said = await decisions(session, 1)
    assert after == before
    assert sum(step == "decide" for step, _ in said) == 1


async def test_while_others_wait_the_cause_is_put_off_and_thought_out_afterwards(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        names = ("payments", "checkout", "web", "ledger")
        posts = [
            alert(
                session,
                alertmanager(service, fingerprint=f"{number:016x}", group=f"g{number}", labels={"env": f"e{number}"}),
            )
            for number, service in enumerate(names)
        ]
        await asyncio.gather(*posts)

        async def all_thought_out() -> bool:
            rows = [row for row in await roots(running) if row.key.startswith("incident:")]
            return len(rows) == len(names) and all("likely cause" in row.message.text.lower() for row in rows)

        await until(all_thought_out, "an incident was never thought about", 20)
        said = [await decisions(session, number) for number in range(1, len(names) + 1)]
    put_off = [one for one in said if ("causes", "put off") in one]
    assert put_off
    assert all(any(step == "causes" and verdict.startswith("named") for step, verdict in one) for one in said)


async def test_what_was_said_of_the_cause_stays_while_another_alert_has_no_time_to_think(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        first = await message(running)
        assert "likely cause: *ledger*" in first
        _always_busy(running, monkeypatch)
        await alert(session, alertmanager("payments", fingerprint="00000000000000ff"))
        second = await message(running, revision=2)
    assert "Alertmanager ×2" in second
    assert "likely cause: *ledger*" in second


def _always_busy(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a hundred deliveries waited."""
    monkeypatch.setattr(
        "bot.incidents.path.AlertWorker.waiting", property(lambda self: 100, lambda self, value: None), raising=False
    )


async def test_of_trouble_that_goes_on_for_long_the_cause_that_was_found_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bot(tmp_path, rethink_seconds=1.0) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        assert "likely cause: *ledger*" in await message(running)
        monkeypatch.setattr("bot.incidents.steps.THOUGHT_SECONDS", 0.0)
        monkeypatch.setattr("bot.incidents.steps.rank", None)  # not to be asked again
        looked = rethought("leave")

        async def thought_again() -> bool:
            return rethought("leave") >= looked + 2

        await until(thought_again, "nobody thought about the incident again", 20)
        await alert(session, alertmanager("payments", fingerprint="00000000000000ff"))
        again = await message(running, revision=2)
    assert "Alertmanager ×2" in again
    assert "likely cause: *ledger*" in again
    assert "failed" not in again


async def test_second_thoughts_know_the_same_hour_of_the_day_before_and_the_first_message_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    at = History.at

    async def noted(self: History, moment: float) -> MapView:
        asked.append(moment)
        return await at(self, moment)

    monkeypatch.setattr(History, "at", noted)
    async with bot(tmp_path, rethink_seconds=1.0) as (running, session):
        await learn(session)
        await alert(session, alertmanager("payments"))
        await message(running)
        assert asked == []
        began = (await get(session, "/api/v1/incidents/1"))["alerts"][0]["starts_at"]

        async def looked_back() -> bool:
            return bool(asked)

        await until(looked_back, "nobody looked at the day before", 20)
    assert asked[0] == pytest.approx(datetime.fromisoformat(began).timestamp() - 86_400.0, abs=1.0)
