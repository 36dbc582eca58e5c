"""Slack's requests, signed as Slack signs them, answered by the real Bolt app on the bot's own port."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Running
from bot.model import Change, ChangeKind
from tests.kit.block_kit import refusal
from tests.kit.bots import bot, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.slack_requests import Sign
from tests.kit.spans import PROTOBUF, calls

Ready = tuple[Running, FakeSlack]
CATALOG = """\
services:
  - {id: payments, team: Payments, slack: "@pay-oncall", tier: 1, domain: money}
"""


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    """A bot that knows web -> payments -> ledger, and its Slack."""
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with (
        FakeSlack() as slack,
        bot(tmp_path, catalog=tmp_path / "services.yaml", **with_slack(slack.url)) as (running, session),
    ):
        await learn(running, session)
        yield running, slack


async def learn(running: Running, session: aiohttp.ClientSession) -> None:
    async with session.post(
        "/v1/traces", data=calls([("web", "payments"), ("payments", "ledger")], count=9), headers=PROTOBUF
    ):
        pass

    async def known() -> bool:
        return running.view.graph.edge_count == 2

    await until(known, "the map did not learn the pairs")


def valid(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer that Slack would accept."""
    assert refusal(answer["text"], answer["blocks"]) is None
    return answer


async def test_a_service_is_answered_to_the_asker_alone_with_callers_callees_owner_state_and_freshness(
    ready: Ready,
) -> None:
    running, slack = ready
    started = time.perf_counter()
    answer = await slack.slash_command(running.url, "payments")

    assert time.perf_counter() - started < 3
    assert answer.status == 200
    said = valid(answer.json())
    assert said["response_type"] == "ephemeral"
    for fact in (
        "*payments*",
        "🟢 as usual",
        "tier 1",
        "@pay-oncall",
        "*Callers* 1: web (9/h, traces)",
        "*Calls* 1: ledger (9/h, traces)",
        "traces 0 s",
    ):
        assert fact in said["text"].replace("traces 1 s", "traces 0 s"), fact
    assert slack.called("chat.postMessage") == []


async def test_what_was_changed_lately_stands_with_the_service_each_with_its_link_and_harmless(ready: Ready) -> None:
    running, slack = ready
    now = time.time()
    for number, (service, title) in enumerate((("payments", "v42"), ("ledger", "<!channel> *v7*"))):
        change = Change(
            now - 60 * (number + 7), service, ChangeKind.DEPLOY, title, "ci", title, link="https://ci.example/7?a=1&b=2"
        )
        running.view.changes.add(change, now)
    said = valid((await slack.slash_command(running.url, "payments")).json())

    for fact in (
        "*Changes*",
        "• <https://ci.example/7?a=1&amp;b=2|deploy payments: v42 · 7 min ago>",
        "deploy ledger: &lt;!channel&gt;",
    ):
        assert fact in said["text"], said["text"]
    assert "<!channel>" not in str(said)


async def test_an_unknown_name_gets_the_closest_ones_as_buttons_and_a_click_answers(ready: Ready) -> None:
    running, slack = ready
    said = valid((await slack.slash_command(running.url, "paymnts")).json())
    buttons = [element for block in said["blocks"] if block["type"] == "actions" for element in block["elements"]]

    assert buttons[0]["value"] == "payments"
    assert len(buttons) <= 3
    assert "No service called 'paymnts'" in said["text"]

    clicked = await slack.interaction(
        running.url, {"type": "block_actions", "actions": [buttons[0] | {"block_id": "b"}]}
    )
    assert clicked.status == 200

    async def answered() -> bool:
        return bool(slack.responses)

    await until(answered, "the click was not answered")
    told = slack.responses[0]
    assert "*Callers* 1: web" in told["text"]
    assert told["replace_original"] is False


@pytest.mark.parametrize("text", ["", "help", "HELP", "?"])
async def test_help_names_what_can_be_asked(ready: Ready, text: str) -> None:
    running, slack = ready
    said = valid((await slack.slash_command(running.url, text)).json())

    assert "/topology payments" in said["text"]


@pytest.mark.parametrize("sign", [Sign.WRONG, Sign.MISSING, Sign.OLD])
async def test_a_request_not_signed_by_slack_now_is_401(ready: Ready, sign: Sign) -> None:
    running, slack = ready

    assert (await slack.slash_command(running.url, "payments", sign=sign)).status == 401
    assert (await slack.slash_command(running.url, "payments&ssl_check=1", sign=sign)).status == 401


async def test_hostile_text_is_answered_without_mentioning_anybody(ready: Ready) -> None:
    running, slack = ready
    for text in ("<!channel>", "<@U000000001>", "x" * 5_000, "\u202e<!here>", "`*_~"):
        said = valid((await slack.slash_command(running.url, text)).json())
        for mention in ("<!", "<@", "\u202e"):
            assert mention not in said["text"] + str(said["blocks"])


async def test_a_link_button_is_acknowledged(ready: Ready) -> None:
    running, slack = ready
    action = {"type": "button", "action_id": "open_link_0", "block_id": "b", "url": "https://runbooks.example"}

    assert (await slack.interaction(running.url, {"type": "block_actions", "actions": [action]})).status == 200


async def test_a_click_whose_answer_would_go_elsewhere_than_slack_is_not_answered(ready: Ready, tmp_path: Path) -> None:
    running, slack = ready
    action = {"type": "button", "action_id": "topology_show", "block_id": "b", "value": "payments"}
    payload = {"type": "block_actions", "actions": [action], "response_url": "http://169.254.169.254/latest/meta-data"}

    assert (await slack.interaction(running.url, payload)).status == 200
    assert slack.responses == []


async def test_without_a_signing_secret_the_door_refuses_all(tmp_path: Path) -> None:
    async with FakeSlack() as slack, bot(tmp_path) as (running, _):
        answer = await slack.slash_command(running.url, "payments")

    assert answer.status == 401
    assert "SLACK_SIGNING_SECRET" in answer.json()["detail"]
