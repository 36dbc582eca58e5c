"""[Acknowledge] in Slack: PagerDuty is told in a person's name, and what it says then is what the message says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.alerts import pagerduty
from tests.kit.bots import bot, until, with_slack
from tests.kit.fake_pagerduty import FakePagerDuty, Incident, fake_pagerduty
from tests.kit.fake_slack import FakeSlack
from tests.pagerduty.test_whole import learn, send, writing


def buttons(post: Any) -> dict[str, Any]:
    found = [one for block in post.blocks if block["type"] == "actions" for one in block["elements"]]
    return {one["text"]["text"]: one for one in found}


async def first(slack: FakeSlack) -> Any:
    async def there() -> Any:
        return next(iter(slack.messages("incidents")), None)

    return await until(there, "there is no message", 20)


async def click(slack: FakeSlack, url: str, button: dict[str, Any]) -> str:
    before = len(slack.responses)
    clicked = await slack.interaction(url, {"type": "block_actions", "actions": [button | {"block_id": "b"}]})
    assert clicked.status == 200

    async def answered() -> bool:
        return len(slack.responses) > before

    await until(answered, "the click was not answered", 10)
    return str(slack.responses[before]["text"])


async def test_a_click_acknowledges_in_pagerduty_and_the_webhook_says_so_in_the_message(tmp_path: Path) -> None:
    async with fake_pagerduty() as fake, FakeSlack() as slack:
        fake.incidents["Q1234"] = Incident()
        async with bot(tmp_path, **writing(fake), **with_slack(slack.url)) as (running, session):
            await learn(session)
            await send(session, pagerduty("incident.triggered"))
            button = buttons(await first(slack))["Acknowledge"]
            assert await click(slack, running.url, button) == "PagerDuty knows that you have #1234."
            assert fake.incidents["Q1234"].status == "acknowledged"

            await send(session, pagerduty("incident.acknowledged", event="E2"))

            async def said() -> bool:
                return str((await first(slack)).text).startswith("🟠")

            await until(said, "the message does not say that somebody has it", 20)
            assert "Acknowledge" not in buttons(await first(slack))


async def test_what_pagerduty_does_not_take_is_told_to_whoever_clicked(tmp_path: Path) -> None:
    async with (
        fake_pagerduty() as fake,
        FakeSlack() as slack,
        bot(tmp_path, **writing(fake), **with_slack(slack.url)) as (running, session),
    ):
        await learn(session)
        await send(session, pagerduty("incident.triggered"))
        button = buttons(await first(slack))["Acknowledge"]
        assert (await click(slack, running.url, button)).startswith("PagerDuty did not take it: ")


@pytest.mark.parametrize("written", [False, True])
async def test_the_button_is_there_only_where_somebody_can_be_told(tmp_path: Path, written: bool) -> None:
    async with fake_pagerduty() as fake, FakeSlack() as slack:
        settings = _reading(fake) if not written else writing(fake)
        async with bot(tmp_path, **settings, **with_slack(slack.url)) as (_, session):
            await learn(session)
            await send(session, pagerduty("incident.triggered"))
            assert ("Acknowledge" in buttons(await first(slack))) is written


def _reading(fake: FakePagerDuty) -> dict[str, Any]:
    return {name: value for name, value in writing(fake).items() if name != "pagerduty_from"}
