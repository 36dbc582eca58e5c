"""Acknowledging and resolving in PagerDuty: in whose name, what is refused, and what is said of it."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from bot.errors import DeliveryError, PermanentDeliveryError, RetryableDeliveryError
from bot.pagerduty.client import PagerDuty
from bot.pagerduty.hand import PagerDutyHand
from bot.pagerduty.notes import NoteSink
from bot.slack.pace import Pace
from bot.slack.policy import Policy
from bot.slack.send import OutboxWorker
from tests.kit.fake_pagerduty import REQUESTER, TOKEN, FakePagerDuty, Incident, fake_pagerduty
from tests.kit.memory_outbox import MemoryOutbox
from tests.pagerduty.test_notes import CHANNEL, KEY, note, until

ADA = "ada@example.org"


@asynccontextmanager
async def hand(token: str = TOKEN, requester: str = REQUESTER) -> AsyncIterator[tuple[FakePagerDuty, PagerDutyHand]]:
    """An account with one incident, and who acts on it."""
    async with fake_pagerduty() as fake, aiohttp.ClientSession() as session:
        fake.incidents["PABC"] = Incident()
        yield fake, PagerDutyHand(PagerDuty(session, token, requester, fake.url, timeout=0.5))


async def test_what_a_person_does_here_is_done_there_in_the_persons_name() -> None:
    async with hand() as (fake, does):
        fake.users.add(ADA)
        await does.acknowledge("pagerduty", "PABC", ADA)
        assert fake.incidents["PABC"].status == "acknowledged"
        await does.resolve("pagerduty", "PABC", ADA)
        assert fake.incidents["PABC"].status == "resolved"

    assert fake.given == [(ADA, "acknowledged"), (ADA, "resolved")]


@pytest.mark.parametrize(
    "who", ["Ada", "", "stranger@example.org", "two words@example.org", "x@y\r\nFrom: root@example.org"]
)
async def test_whoever_pagerduty_does_not_know_acts_in_the_name_of_the_configured_user(who: str) -> None:
    async with hand() as (fake, does):
        await does.acknowledge("pagerduty", "PABC", who)

    assert fake.given == [(REQUESTER, "acknowledged")]


async def test_acknowledging_twice_does_no_harm() -> None:
    async with hand() as (fake, does):
        await does.acknowledge("pagerduty", "PABC", REQUESTER)
        await does.acknowledge("pagerduty", "PABC", REQUESTER)

    assert fake.incidents["PABC"].status == "acknowledged"


async def test_an_incident_that_is_over_stays_over() -> None:
    async with hand() as (fake, does):
        fake.incidents["PABC"].status = "resolved"
        with pytest.raises(PermanentDeliveryError, match="pd_refused"):
            await does.acknowledge("pagerduty", "PABC", REQUESTER)

    assert fake.incidents["PABC"].status == "resolved"


async def test_without_a_user_that_pagerduty_knows_nothing_is_done_and_that_is_said() -> None:
    async with hand(requester="gone@example.org") as (fake, does):
        with pytest.raises(PermanentDeliveryError, match="pd_requester_not_found"):
            await does.acknowledge("pagerduty", "PABC", ADA)

    assert fake.incidents["PABC"].status == "triggered"


async def test_another_sources_incident_is_not_asked_for() -> None:
    async with hand() as (fake, does):
        with pytest.raises(PermanentDeliveryError, match="pd_other_source"):
            await does.acknowledge("alertmanager", "PABC", ADA)
        with pytest.raises(PermanentDeliveryError, match="pd_bad_identifier"):
            await does.acknowledge("pagerduty", "../users", ADA)

    assert fake.asked == []


@pytest.mark.parametrize(
    ("trouble", "kind", "word"),
    [
        (401, PermanentDeliveryError, "pd_unauthorized"),
        (402, PermanentDeliveryError, "pd_plan_lacks_it"),
        (403, PermanentDeliveryError, "pd_forbidden"),
        (404, PermanentDeliveryError, "pd_not_found"),
        (500, RetryableDeliveryError, "pd_http_500"),
        (503, RetryableDeliveryError, "pd_http_503"),
        ("hang", RetryableDeliveryError, "pd_no_answer"),
        ("drop", RetryableDeliveryError, "pd_no_answer"),
        ("lost", RetryableDeliveryError, "pd_no_answer"),
        ("bare 429", RetryableDeliveryError, "pd_rate_limited"),
    ],
)
async def test_a_refusal_is_named_in_one_word_without_a_secret(
    trouble: str | int, kind: type[DeliveryError], word: str
) -> None:
    async with hand() as (fake, does):
        fake.trouble = [trouble] * 3  # the HTTP client itself asks once more where a connection broke
        with pytest.raises(kind) as caught:
            await does.acknowledge("pagerduty", "PABC", REQUESTER)
        told = "".join(traceback.format_exception(caught.value))

    assert str(caught.value) == word
    assert TOKEN not in told
    assert fake.url not in told


async def test_a_rate_limit_says_for_how_long_to_wait() -> None:
    async with hand() as (fake, does):
        fake.trouble = [429, "bare 429"]
        with pytest.raises(RetryableDeliveryError, match="pd_rate_limited") as told:
            await does.acknowledge("pagerduty", "PABC", REQUESTER)
        with pytest.raises(RetryableDeliveryError, match="pd_rate_limited") as bare:
            await does.acknowledge("pagerduty", "PABC", REQUESTER)

    assert (told.value.retry_after, bare.value.retry_after) == (1.0, None)


async def test_the_sender_of_notes_waits_for_as_long_as_the_rate_limit_says() -> None:
    outbox = MemoryOutbox()
    quick = Policy(grace=0.05, first_wait=0.05, poll=0.05, sole_worker=True)
    async with hand() as (fake, _), aiohttp.ClientSession() as session:
        fake.trouble = [429]
        sink = NoteSink(PagerDuty(session, TOKEN, REQUESTER, fake.url))
        outbox.put(KEY, CHANNEL, note(), time.time())
        task = asyncio.create_task(OutboxWorker(outbox, sink, Pace(), quick).run())
        await until(lambda: outbox.rows[KEY].state == "sent", "the note was not sent")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert fake.asked == [("POST", "/incidents/PABC/notes")] * 2
    assert fake.asked_at[1] - fake.asked_at[0] >= 1.0
