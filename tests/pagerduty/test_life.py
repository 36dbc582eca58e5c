"""The whole life of a PagerDuty incident, webhook by webhook: what our incident, its message and its note become."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Running
from tests.kit.alerts import pagerduty, pagerduty_headers, rfc3339
from tests.kit.bots import bot, get, until
from tests.kit.fake_pagerduty import FakePagerDuty, Incident, fake_pagerduty
from tests.pagerduty.test_whole import learn, noted, writing


@dataclass(slots=True)
class Scene:
    """A bot with a map and an account in which Q1234 is about `payments`."""

    fake: FakePagerDuty
    running: Running
    session: aiohttp.ClientSession
    began: float = field(default_factory=lambda: time.time() - 1_200)
    _numbers: count[int] = field(default_factory=count)

    async def told(self, what: str, **changes: Any) -> None:
        """PagerDuty tells of `incident.WHAT`; returns once it is worked."""
        changes.setdefault("created", self.began)
        await self.deliver(pagerduty(f"incident.{what}", event=f"E{next(self._numbers)}", **changes))

    async def deliver(self, body: bytes) -> None:
        """A signed body; returns once it is worked."""
        async with self.session.post("/webhooks/pagerduty", data=body, headers=pagerduty_headers(body)) as answer:
            assert answer.status == 202, await answer.text()

        async def worked() -> bool:
            return not await self.running.alerts.count_waiting()

        await until(worked, "the delivery was not worked")

    async def messages(self) -> list[str]:
        """The wording of the root messages, oldest first."""
        rows = reversed(await self.running.outbox.latest(50))
        return [row.message.text for row in rows if row.parent_key is None]

    async def verdicts(self, step: str, incident: int = 1) -> list[str]:
        """What a step decided, in order."""
        return [one.verdict for one in await self.running.alerts.decisions(incident) if one.step == step]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with fake_pagerduty() as fake, bot(folder, **writing(fake)) as (running, session):
        fake.incidents["Q1234"] = Incident()
        await learn(session)
        yield Scene(fake, running, session)


async def test_triggered_opens_an_incident_that_says_who_has_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered", assignees=["Ada Lovelace"])
        [message] = await on.messages()
        await noted(on.fake, "Q1234", "payments is failing")

    assert message.startswith("🔴 *payments* is failing")
    assert "PagerDuty #1234 with Ada Lovelace" in message


async def test_acknowledged_is_said_in_the_message_and_in_the_note(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered")
        await on.told("acknowledged", assignees=["Ada Lovelace"])
        [message] = await on.messages()
        await noted(on.fake, "Q1234", "(acknowledged)")

    assert message.startswith("🟠 *payments* is failing · acknowledged")
    assert "with Ada Lovelace" in message


async def test_unacknowledged_opens_the_incident_again_for_whoever_comes_next(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered")
        await on.told("acknowledged")
        await noted(on.fake, "Q1234", "(acknowledged)")
        await on.told("unacknowledged")
        [message] = await on.messages()
        note = await noted(on.fake, "Q1234", "payments is failing. Likely cause")

    assert message.startswith("🔴 *payments* is failing")
    assert "acknowledged" not in message + note


@pytest.mark.parametrize("what", ["reassigned", "escalated", "delegated"])
async def test_handing_over_names_the_next_person_and_changes_nothing_else(tmp_path: Path, what: str) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered", assignees=["Ada Lovelace"])
        [before] = await on.messages()
        await on.told(what, assignees=["Grace Hopper", "Barbara Liskov"])
        [after] = await on.messages()
        assert await on.verdicts("dedupe") == ["new", "handed over"]

    assert "with Ada Lovelace" in before
    assert "with Grace Hopper, Barbara Liskov" in after
    assert after.splitlines()[0] == before.splitlines()[0]


async def test_handing_over_to_the_same_person_edits_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered", assignees=["Ada Lovelace"])
        await on.told("escalated", assignees=["Ada Lovelace"])

        assert await on.verdicts("dedupe") == ["new"]


async def test_a_persons_name_cannot_mention_anybody_in_slack(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered", assignees=["<!channel> <@U123>"])
        [message] = await on.messages()

    assert "with &lt;!channel&gt; &lt;@U123&gt;" in message


async def test_another_priority_is_the_incidents_severity_from_then_on(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered", priority="P3")
        await on.told("priority_updated", priority="P1")
        [message] = await on.messages()

    assert message.splitlines()[1].endswith("· P1")


async def test_resolved_ends_the_incident_and_the_note_says_for_how_long_it_went_on(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered", assignees=["Ada Lovelace"])
        await on.told("resolved")
        [message] = await on.messages()
        note = await noted(on.fake, "Q1234", "payments recovered")
        assert await on.running.alerts.firing() == {}

    assert message.startswith("✅ *payments* recovered")
    assert "Ada" not in message
    assert "(20 min)" in note


async def test_reopened_is_an_incident_of_its_own_here_and_the_same_note_there(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered")
        await on.told("resolved")
        await noted(on.fake, "Q1234", "payments recovered")
        await on.told("reopened", reopened=time.time())
        first, second = await on.messages()
        await noted(on.fake, "Q1234", "payments is failing")

    assert first.startswith("✅ *payments* recovered")
    assert second.startswith("🔴 *payments* is failing")


async def test_reopened_where_the_end_never_reached_us_goes_on_in_the_same_incident_and_can_end(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered")
        again = time.time()
        await on.told("reopened", reopened=again)
        assert await on.verdicts("dedupe") == ["new", "new", "superseded"]
        assert [one.startswith("🔴") for one in await on.messages()] == [True]
        await on.told("resolved", reopened=again)
        [message] = await on.messages()

    assert message.startswith("✅ *payments* recovered")


async def test_somebodys_note_and_the_echo_of_our_own_change_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.told("triggered")
        ours = await noted(on.fake, "Q1234", "payments is failing")
        asked = len(on.fake.asked)
        for content in (ours, "I rolled it back"):
            note = {
                "type": "incident_note",
                "id": "N1",
                "incident": {"id": "Q1234"},
                "content": content,
                "trimmed": False,
            }
            await on.deliver(_event("incident.annotated", note, f"E-{content[:3]}"))
        [message] = await on.messages()

        assert await on.verdicts("dedupe") == ["new"]
        assert message.startswith("🔴 *payments* is failing")
        assert len(on.fake.asked) == asked


async def test_a_ping_is_answered_and_says_nothing_to_anybody(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.deliver(_event("pagey.ping", {"type": "ping", "message": "Hello from your friend Pagey!"}, "E-ping"))

        assert await on.messages() == []
        assert (await get(on.session, "/api/v1/doctor"))["alerts"]["pagerduty"]["failed"] == 0


async def test_events_that_come_twice_or_all_at_once_end_in_the_state_that_was_told_last(tmp_path: Path) -> None:
    life = ("triggered", "acknowledged", "unacknowledged", "escalated", "acknowledged", "resolved")
    async with scene(tmp_path) as on:
        bodies = [pagerduty(f"incident.{what}", created=on.began, event=f"L{place}") for place, what in enumerate(life)]
        for place, body in enumerate([*bodies, *bodies]):
            async with on.session.post("/webhooks/pagerduty", data=body, headers=pagerduty_headers(body)) as answer:
                assert answer.status == (202 if place < len(life) else 200)
        await noted(on.fake, "Q1234", "payments recovered")
        messages = await on.messages()

    assert [one.startswith("✅") for one in messages] == [True]


def _event(kind: str, data: dict[str, Any], number: str) -> bytes:
    event = {
        "id": number,
        "event_type": kind,
        "resource_type": kind.partition(".")[0],
        "occurred_at": rfc3339(time.time()),
    }
    return json.dumps({"event": event | {"agent": None, "client": None, "data": data}}).encode()
