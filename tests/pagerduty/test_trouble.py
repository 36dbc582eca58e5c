"""A PagerDuty that is down, slow or refusing, seen from the whole bot: Slack's message goes out in time, the note when it can."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.pagerduty.closer import PATIENCE
from tests.kit.alerts import pagerduty
from tests.kit.bots import bot, get, until, with_slack
from tests.kit.fake_pagerduty import TOKEN, FakePagerDuty, Incident, fake_pagerduty
from tests.kit.fake_slack import FakeSlack
from tests.pagerduty.test_whole import learn, noted, send, writing

PROMPT = 0.9
"""Seconds from PagerDuty's webhook to Slack's message, with room for a busy machine and none for a wait of the bot's."""

CATALOG = "services:\n  - {id: payments, pagerduty_service_id: PF9KMXH}\n"


@dataclass(slots=True)
class Scene:
    """A bot between a Slack and a PagerDuty."""

    slack: FakeSlack
    fake: FakePagerDuty
    session: aiohttp.ClientSession

    async def posted(self, count: int = 1) -> float:
        """Wait for so many messages in Slack; when the last of them came (epoch s)."""

        async def there() -> bool:
            return len(self.slack.messages("incidents")) >= count

        await until(there, "the message did not come")
        return [call.at for call in self.slack.calls if call.method == "chat.postMessage"][-1]

    async def problems(self, word: str) -> list[str]:
        """What doctor says of PagerDuty, once that has a word in it."""

        async def told() -> list[str]:
            found: list[str] = (await get(self.session, "/api/v1/doctor"))["problems"]
            return [one for one in found if one.startswith("pagerduty") and word in one]

        return list(await until(told, f"doctor says nothing of {word}"))


@pytest.fixture
async def sides() -> AsyncIterator[tuple[FakeSlack, FakePagerDuty]]:
    async with FakeSlack() as slack, fake_pagerduty() as fake:
        fake.incidents["Q1234"] = Incident()
        yield slack, fake


@asynccontextmanager
async def scene(folder: Path, sides: tuple[FakeSlack, FakePagerDuty], **changes: Any) -> AsyncIterator[Scene]:
    """The bot, with `payments` on its map and, unless `catalog` says otherwise, known by PagerDuty's id."""
    slack, fake = sides
    (folder / "services.yaml").write_text(CATALOG)
    settings = {"catalog": folder / "services.yaml"} | with_slack(slack.url) | writing(fake) | changes
    async with AsyncExitStack() as stack:
        outage, fake.outage = fake.outage, ""
        _, session = await stack.enter_async_context(bot(folder, **settings))
        await learn(session)
        fake.outage = outage
        stack.callback(fake.recover)  # or the shutdown would wait for what hangs
        yield Scene(slack, fake, session)


@pytest.mark.parametrize("outage", ["drop", "hang", 429, "bare 429", 500, 502, 503])
async def test_while_pagerduty_is_down_or_slow_the_message_is_prompt_and_the_note_comes_afterwards(
    tmp_path: Path, sides: tuple[FakeSlack, FakePagerDuty], outage: str | int
) -> None:
    slack, fake = sides
    fake.outage = outage
    async with scene(tmp_path, sides) as on:
        began = time.time()
        await send(on.session, pagerduty())
        assert await on.posted() - began < PROMPT
        assert fake.incidents["Q1234"].notes == []

        fake.recover()
        assert "payments is failing" in await noted(fake, "Q1234", "payments is failing")

    assert len(slack.messages("incidents")) == 1


@pytest.mark.parametrize(("refusal", "word"), [(401, "pd_unauthorized"), (403, "pd_forbidden")])
async def test_a_key_that_is_refused_shows_in_doctor_and_the_note_comes_with_the_next_start(
    tmp_path: Path, sides: tuple[FakeSlack, FakePagerDuty], refusal: int, word: str
) -> None:
    slack, fake = sides
    fake.outage = refusal
    async with scene(tmp_path, sides) as on:
        began = time.time()
        await send(on.session, pagerduty())
        assert await on.posted() - began < PROMPT
        [said] = await on.problems(word)
        assert fake.incidents["Q1234"].notes == []

    assert TOKEN not in said
    assert fake.url not in said
    async with scene(tmp_path, sides):
        await noted(fake, "Q1234", "payments is failing")
    assert len(slack.messages("incidents")) == 1


async def test_an_incident_that_is_not_this_accounts_shows_in_doctor_and_holds_up_no_other(
    tmp_path: Path, sides: tuple[FakeSlack, FakePagerDuty]
) -> None:
    _, fake = sides
    async with scene(tmp_path, sides) as on:
        began = time.time()
        await send(on.session, pagerduty(number=99))
        assert await on.posted() - began < PROMPT
        [said] = await on.problems("pd_not_found")
        await send(on.session, pagerduty(number=1234))
        await noted(fake, "Q1234", "payments is failing")

    assert "pagerduty:Q99: pd_not_found" in said


async def test_a_user_that_pagerduty_does_not_know_shows_in_doctor(
    tmp_path: Path, sides: tuple[FakeSlack, FakePagerDuty]
) -> None:
    async with scene(tmp_path, sides, pagerduty_from="gone@example.org") as on:
        await send(on.session, pagerduty())
        await on.posted()
        [said] = await on.problems("pd_requester_not_found")

    assert "gone@example.org" not in said


async def test_where_the_catalogue_knows_the_service_nothing_is_asked_before_the_message(
    tmp_path: Path, sides: tuple[FakeSlack, FakePagerDuty]
) -> None:
    _, fake = sides
    async with scene(tmp_path, sides) as on:
        await send(on.session, pagerduty())
        await noted(fake, "Q1234", "payments is failing")

    assert [path for _, path in fake.asked if path.endswith("/alerts")] == []


async def test_where_only_the_incidents_alerts_could_name_the_service_a_slow_pagerduty_costs_one_short_wait(
    tmp_path: Path, sides: tuple[FakeSlack, FakePagerDuty]
) -> None:
    _, fake = sides
    fake.incidents["Q1235"] = Incident()
    fake.outage = "hang"
    async with scene(tmp_path, sides, catalog="") as on:
        began = time.time()
        await send(on.session, pagerduty(service="Everything we page for"))
        assert PATIENCE <= await on.posted() - began < PATIENCE + PROMPT
        began = time.time()
        await send(on.session, pagerduty(service="Something else entirely", number=1235))
        assert await on.posted(2) - began < PROMPT
        [said] = await on.problems("reading incidents")
        fake.recover()
        await noted(fake, "Q1234", "Everything we page for".lower())

    assert "no answer within 1 s" in said
