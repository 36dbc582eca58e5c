"""An alert of a name nobody knows asks whether it is a service's other name; the answer counts, and can be taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Running
from tests.kit.alerts import alertmanager
from tests.kit.bots import alertmanager_headers, bot, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.slack.test_commands import answered, buttons_of, click, learn

Ready = tuple[Running, FakeSlack]


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    """A bot that knows web -> payments -> ledger, and its Slack."""
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (running, session):
        await learn(running, session)
        yield running, slack


async def alert(ready: Ready, service: str, name: str) -> dict[str, Any]:
    """The message that an alert makes."""
    running, slack = ready
    before = len(slack.messages("incidents"))
    async with (
        aiohttp.ClientSession(running.url) as session,
        session.post(
            "/webhooks/alertmanager", json=alertmanager(service, name=name), headers=alertmanager_headers()
        ) as taken,
    ):
        assert taken.status < 300

    async def posted() -> bool:
        return len(slack.messages("incidents")) > before

    await until(posted, "the alert made no message")
    post = slack.messages("incidents")[-1]
    return {"text": post.text, "blocks": post.blocks}


async def ask(ready: Ready, text: str) -> dict[str, Any]:
    running, slack = ready
    before = len(slack.responses)
    await slack.slash_command(running.url, text)
    return await answered(slack, before)


async def test_yes_makes_the_next_alert_the_services_own_and_undo_takes_it_back(ready: Ready) -> None:
    said = await alert(ready, "payments-prod", "First")
    assert "Is it the same as *payments*?" in said["text"]

    told = await click(ready, buttons_of(said)["Yes, it is payments"])
    assert "payments-prod is payments from now on" in told["text"]
    assert "*payments* is failing" in (await alert(ready, "payments-prod", "Second"))["text"]
    assert "`payments-prod` is *payments* (someone (U000000001), <!date^" in (await ask(ready, "alias"))["text"]

    assert "no longer payments" in (await click(ready, buttons_of(told)["Undo"]))["text"]
    assert "is on no map" in (await alert(ready, "payments-prod", "Third"))["text"]


async def test_no_is_remembered(ready: Ready) -> None:
    said = await alert(ready, "payments-prod", "First")
    assert "will not be asked again" in (await click(ready, buttons_of(said)["No"]))["text"]

    again = await alert(ready, "payments-prod", "Second")
    assert "payments*?" not in again["text"]
    assert "Yes, it is payments" not in buttons_of(again)


async def test_an_alias_is_not_written_down_for_a_service_that_was_misspelt(ready: Ready) -> None:
    told = await ask(ready, "alias pay-svc = paymnets")
    assert "No service called 'paymnets'" in told["text"]

    told = await click(ready, buttons_of(told)["payments"])
    assert "pay-svc is payments from now on" in told["text"]
    assert "Share" not in buttons_of(told)


async def test_a_mention_can_confirm_a_name_and_who_said_so_is_kept(ready: Ready) -> None:
    running, slack = ready
    event = {"type": "app_mention", "user": "U000000007", "channel": "C000000001", "ts": "1.000001"}
    await slack.event(running.url, event | {"text": "<@U00000BOT1> alias pay-svc = payments"})

    async def done() -> bool:
        return bool(slack.messages("incidents"))

    await until(done, "the bot said nothing")
    assert "(U000000007, <!date^" in (await ask(ready, "alias"))["text"]
