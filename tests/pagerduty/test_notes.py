"""Notes on PagerDuty's incidents: one each, kept up to date, whatever PagerDuty does meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from bot.errors import AmbiguousDeliveryError, PermanentDeliveryError, RetryableDeliveryError
from bot.model import Message
from bot.pagerduty.client import PagerDuty, verdict
from bot.pagerduty.note import MARK
from bot.pagerduty.notes import NoteSink
from bot.sinks import LookupFailed, Verdict
from bot.slack.pace import Pace
from bot.slack.policy import Policy
from bot.slack.send import OutboxWorker
from tests.kit.fake_pagerduty import REQUESTER, TOKEN, FakePagerDuty, Incident, fake_pagerduty
from tests.kit.memory_outbox import MemoryOutbox

CHANNEL = "pagerduty:PABC"
KEY = f"{CHANNEL}:note"
POLICY = Policy(grace=0.05, first_wait=0.05, poll=0.05, judge=verdict, sole_worker=True)


def note(text: str = "payments is failing") -> Message:
    return Message(f"{text}\nupdated 02:56 UTC {MARK}", ())


@asynccontextmanager
async def account(token: str = TOKEN, requester: str = REQUESTER) -> AsyncIterator[tuple[FakePagerDuty, PagerDuty]]:
    async with fake_pagerduty() as fake, aiohttp.ClientSession() as session:
        fake.incidents["PABC"] = Incident()
        fake.services.add("PSVC")
        yield fake, PagerDuty(session, token, requester, fake.url, timeout=1.0)


@asynccontextmanager
async def sending(api: PagerDuty, outbox: MemoryOutbox) -> AsyncIterator[OutboxWorker]:
    worker = OutboxWorker(outbox, NoteSink(api), Pace(), POLICY)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10.0
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.01)


async def test_an_incident_gets_one_note_which_is_edited_when_the_wording_changes() -> None:
    outbox = MemoryOutbox()
    async with account() as (fake, api), sending(api, outbox) as worker:
        for words in ("first", "second", "third"):
            outbox.put(KEY, CHANNEL, note(words), time.time())
            worker.wake()
            await until(lambda: outbox.rows[KEY].state == "sent", "the note was not sent")

    [written] = fake.incidents["PABC"].notes
    assert written["content"].startswith("third")


@pytest.mark.parametrize("trouble", ["drop", "lost", "hang", 500, 503, 429, "bare 429"])
async def test_whatever_goes_wrong_on_the_way_there_is_one_note_in_the_end(trouble: str | int) -> None:
    outbox = MemoryOutbox()
    async with account() as (fake, api):
        fake.trouble = [trouble]
        outbox.put(KEY, CHANNEL, note("first"), time.time())
        async with sending(api, outbox):
            await until(lambda: outbox.rows[KEY].state == "sent", "the note was not sent")

        assert [one["content"] for one in fake.incidents["PABC"].notes] == [note("first").text]


async def test_a_note_of_an_incident_that_pagerduty_does_not_know_is_given_up_and_holds_up_no_other() -> None:
    outbox = MemoryOutbox()
    async with account() as (fake, api):
        outbox.put("pagerduty:PGONE:note", "pagerduty:PGONE", note(), time.time())
        outbox.put(KEY, CHANNEL, note(), time.time())
        async with sending(api, outbox) as worker:
            await until(lambda: outbox.rows[KEY].state == "sent", "the note was not sent")
            await until(lambda: outbox.rows["pagerduty:PGONE:note"].state == "failed", "it was not given up")

        assert worker.problems == {"pagerduty:PGONE": "pd_not_found"}
        assert len(fake.incidents["PABC"].notes) == 1


async def test_a_token_that_is_refused_stops_every_note_and_is_named_without_being_shown() -> None:
    outbox = MemoryOutbox()
    async with account(token="wrong-secret") as (_, api):
        outbox.put(KEY, CHANNEL, note(), time.time())
        async with sending(api, outbox) as worker:
            await until(lambda: worker.problems == {"pagerduty": "pd_unauthorized"}, "nothing was said")

        assert outbox.rows[KEY].state == "pending"
        assert "wrong-secret" not in str(worker.problems)


async def test_a_user_that_pagerduty_does_not_know_is_said_to_be_the_trouble() -> None:
    async with account(requester="nobody@example.org") as (_, api):
        with pytest.raises(PermanentDeliveryError, match="pd_requester_not_found"):
            await NoteSink(api).post(key=KEY, channel=CHANNEL, message=note(), thread_ts=None)

    assert verdict("pd_requester_not_found") is Verdict.AUTH


async def test_a_post_whose_answer_is_lost_may_have_arrived_and_is_found_by_its_mark() -> None:
    async with account() as (fake, api):
        sink, before = NoteSink(api), time.time()
        fake.incidents["PABC"].notes.append({"id": "N0", "content": "by hand", "created_at": "2026-11-23T02:00:00Z"})
        assert await sink.find(key=KEY, channel=CHANNEL, thread_ts=None, since=before) is None
        fake.trouble = ["lost"]
        with pytest.raises(AmbiguousDeliveryError):
            await sink.post(key=KEY, channel=CHANNEL, message=note(), thread_ts=None)

        found = await sink.find(key=KEY, channel=CHANNEL, thread_ts=None, since=before)
        assert found is not None
        assert found.ts == fake.incidents["PABC"].notes[-1]["id"]


async def test_a_refused_connection_is_no_doubt_since_nothing_was_sent() -> None:
    async with account() as (fake, _):
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(RetryableDeliveryError, match="pd_unreachable"):
            await NoteSink(PagerDuty(session, TOKEN, REQUESTER, fake.url)).post(
                key=KEY, channel=CHANNEL, message=note(), thread_ts=None
            )


async def test_an_edit_is_never_in_doubt_and_a_deleted_note_is_left_deleted() -> None:
    async with account() as (fake, api):
        sink = NoteSink(api)
        posted = await sink.post(key=KEY, channel=CHANNEL, message=note(), thread_ts=None)
        fake.trouble = [503]
        with pytest.raises(RetryableDeliveryError):
            await sink.update(channel_id=posted.channel_id, ts=posted.ts, message=note("second"))
        fake.incidents["PABC"].notes.clear()
        with pytest.raises(PermanentDeliveryError) as caught:
            await sink.update(channel_id=posted.channel_id, ts=posted.ts, message=note("third"))

    assert verdict(caught.value.code) is Verdict.GONE


@pytest.mark.parametrize(
    "channel", ["pagerduty:", "pagerduty:../services", "pagerduty:A?b=c", "pagerduty:" + "A" * 500]
)
async def test_what_is_no_incidents_id_never_becomes_part_of_an_address(channel: str) -> None:
    async with account() as (fake, api):
        with pytest.raises(PermanentDeliveryError, match="pd_bad_identifier"):
            await NoteSink(api).post(key=KEY, channel=channel, message=note(), thread_ts=None)
        with pytest.raises(LookupFailed):
            await NoteSink(api).find(key=KEY, channel=channel, thread_ts=None, since=0.0)

    assert fake.asked == []


async def test_custom_fields_are_set_beside_the_note_and_the_note_goes_without_them_where_they_are_refused() -> None:
    fields = ({"custom_fields": [{"name": "cause", "value": "ledger"}]},)
    outbox = MemoryOutbox()
    async with account() as (fake, api), sending(api, outbox) as worker:
        outbox.put(KEY, CHANNEL, Message(note().text, fields), time.time())
        worker.wake()
        await until(lambda: outbox.rows[KEY].state == "sent", "the note was not sent")
        assert fake.incidents["PABC"].fields == {}
        fake.custom_fields.add("cause")
        outbox.put(KEY, CHANNEL, Message(note("second").text, fields), time.time())
        worker.wake()
        await until(lambda: outbox.rows[KEY].state == "sent", "the note was not edited")

    assert fake.incidents["PABC"].fields == {"cause": "ledger"}
    assert [one["content"] for one in fake.incidents["PABC"].notes] == [note("second").text]


async def test_the_check_says_whether_the_token_is_taken() -> None:
    async with account() as (_, api):
        assert await NoteSink(api).check() == "ok: the key is taken"
    async with account(token="wrong") as (_, api):
        with pytest.raises(PermanentDeliveryError, match="pd_unauthorized"):
            await NoteSink(api).check()


async def test_all_pages_are_read_up_to_a_bound() -> None:
    async with account() as (fake, api):
        fake.incidents["PABC"].alerts = [{"id": f"A{number}"} for number in range(250)]

        assert len(await api.pages("/incidents/PABC/alerts", "alerts", 1_000)) == 250
        assert len(await api.pages("/incidents/PABC/alerts", "alerts", 120)) == 120
