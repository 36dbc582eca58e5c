"""An incident whose channel dies under it goes on elsewhere, with its thread; what people delete stays deleted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.incidents.test_illustrating import alerted
from tests.kit.bots import bot, get, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.slack_channel import Post
from tests.pagerduty.test_whole import learn
from tests.slack.bench import counted

ROUTES = "service=payments -> #pay"


async def there(slack: FakeSlack, channel: str, *words: str) -> Post:
    """The first message of a channel, once it or its thread says all of this."""

    async def found() -> Post | None:
        for root in slack.messages(channel):
            if all(any(word in post.text for post in (root, *root.replies)) for word in words):
                return root
        return None

    post: Post = await until(found, f"{channel} does not say {words}", 30)
    return post


@pytest.mark.parametrize("trouble", ["archived", "put out"])
async def test_an_incident_goes_on_with_its_thread_where_it_can_be_seen(tmp_path: Path, trouble: str) -> None:
    began = time.time() - 120
    async with FakeSlack(channels=["incidents", "pay"]) as slack:
        wired = with_slack(slack.url) | {"routes": ROUTES, "thread_pictures": False}
        async with bot(tmp_path, **wired) as (_, session):
            await learn(session)
            await alerted(session, started=began)
            first = await there(slack, "pay", "*payments* is failing")
            if trouble == "archived":
                slack.workspace.channel("pay").archived = True
            else:
                slack.workspace.channel("pay").private = True
                slack.workspace.channel("pay").member = False

            await alerted(session, status="resolved", started=began)
            moved = await there(slack, "incidents", "*payments* recovered", "🏁 Resolved")
            doctor = await get(session, "/api/v1/doctor")

    assert "🔴" in first.text  # as it stood when nobody could write there any more
    assert slack.messages("incidents") == [moved]
    assert any("pay" in problem and "posting to #incidents instead" in problem for problem in doctor["problems"])


async def test_a_message_that_was_deleted_stays_so_and_is_counted(tmp_path: Path) -> None:
    began = time.time() - 120
    async with (
        FakeSlack() as slack,
        bot(tmp_path, thread_pictures=False, **with_slack(slack.url)) as (running, session),
    ):
        await learn(session)
        await alerted(session, started=began)
        await there(slack, "incidents", "*payments* is failing")
        before = counted("outbox_failed", reason="message_not_found")
        slack.messages("incidents").clear()
        await alerted(session, status="resolved", started=began)

        async def settled() -> bool:
            row = await running.outbox.one("incident:1:root")
            return row is not None and row.state == "failed"

        await until(settled, "the edit was not given up")

    assert not any("is failing" in post.text for post in slack.messages("incidents"))
    assert counted("outbox_failed", reason="message_not_found") == before + 1
