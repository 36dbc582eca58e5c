"""The bot behind a firewall: Slack's requests come over a WebSocket that the bot opened, to the same handlers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import structlog

from bot import logs
from bot.app import Running
from bot.metrics import REGISTRY
from tests.kit import slack_requests
from tests.kit.block_kit import refusal
from tests.kit.bots import bot, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.slack_socket import APP_TOKEN
from tests.slack.test_commands import learn

Ready = tuple[Running, FakeSlack]


def socket_only(slack: FakeSlack) -> dict[str, Any]:
    """Settings of a bot that Slack cannot reach: an app-level token, no signing secret."""
    return with_slack(slack.url) | {"slack_app_token": APP_TOKEN, "slack_signing_secret": None}


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    """A connected bot that knows web -> payments -> ledger, and its Slack."""
    async with FakeSlack() as slack, bot(tmp_path, **socket_only(slack)) as (running, session):
        await learn(running, session)
        await connected(slack, 1)
        yield running, slack


async def connected(slack: FakeSlack, times: int) -> None:
    async def open_now() -> bool:
        return slack.sockets.opened >= times and bool(slack.sockets.open)

    await until(open_now, "the bot did not connect")


async def command(slack: FakeSlack, text: str, **more: Any) -> dict[str, Any]:
    """A slash command over the socket; its acknowledgement."""
    channel = slack.workspace.channel("incidents")
    body = slack_requests.command_body("/topology", text, "U000000001", channel, slack.response_url(), "1.1")
    return await slack.sockets.send("slash_commands", dict(parse_qsl(body.decode(), keep_blank_values=True)), **more)


def event(slack: FakeSlack, text: str, event_id: str) -> dict[str, Any]:
    """A mention in its envelope."""
    post = slack.workspace.say("incidents", text)
    inner = {
        "type": "app_mention",
        "user": "U000000001",
        "text": f"<@U00000BOT1> {text}",
        "ts": post.ts,
        "channel": "C000000001",
    }
    whole: dict[str, Any] = json.loads(slack_requests.event_body(inner, event_id, 0.0))
    return whole


def envelopes(what: str) -> float:
    return REGISTRY.get_sample_value("topology_bot_slack_envelopes_total", {"what": what}) or 0.0


async def test_a_command_is_answered_in_its_acknowledgement(ready: Ready) -> None:
    _, slack = ready
    said = (await command(slack, "payments"))["payload"]

    assert refusal(said["text"], said["blocks"]) is None
    assert said["response_type"] == "ephemeral"
    assert "*Callers* 1: web" in said["text"]


async def test_what_takes_longer_is_acknowledged_and_answered_after(ready: Ready) -> None:
    _, slack = ready
    assert "payload" not in await command(slack, "diff payments 30m")

    async def answered() -> bool:
        return bool(slack.responses)

    await until(answered, "no answer came")
    assert "*payments* since" in slack.responses[0]["text"]


async def test_a_click_and_a_mention_come_the_same_way(ready: Ready) -> None:
    _, slack = ready
    channel = slack.workspace.channel("incidents")
    action = {"type": "button", "action_id": "topology_run_0", "block_id": "b", "value": "path web ledger"}
    body = slack_requests.interaction_body({"actions": [action]}, "U000000001", channel, slack.response_url(), "1.1")
    await slack.sockets.send("interactive", json.loads(dict(parse_qsl(body.decode()))["payload"]))
    await slack.sockets.send("events_api", event(slack, "owner payments", "Ev1"), answers=False)

    async def answered() -> bool:
        return bool(slack.responses and slack.messages("incidents")[0].replies)

    await until(answered, "no answer came")
    assert "web → payments → ledger" in slack.responses[0]["text"]
    assert "*payments*" in slack.messages("incidents")[0].replies[0].text


async def test_an_event_sent_again_over_another_connection_is_answered_once(ready: Ready) -> None:
    _, slack = ready
    again = event(slack, "payments", "Ev1")
    await slack.sockets.send("events_api", again, answers=False)
    await slack.sockets.disconnect("refresh_requested")
    await connected(slack, 2)
    await slack.sockets.send("events_api", again, retry=1, answers=False)
    await slack.sockets.send("events_api", event(slack, "ledger", "Ev2"), answers=False)

    async def answered() -> bool:
        return len(slack.messages("incidents")[-1].replies) == 1

    await until(answered, "the bot said nothing")
    assert [len(post.replies) for post in slack.messages("incidents")] == [1, 1]


async def test_when_slack_asks_for_a_new_connection_both_are_served_until_the_old_one_ends(ready: Ready) -> None:
    _, slack = ready
    old = await slack.sockets.disconnect("warning")
    await connected(slack, 2)
    assert not old.closed

    slack.sockets.open.remove(old)
    slack.sockets.open.append(old)  # what is sent now goes over the old one
    assert "*Callers* 1: web" in (await command(slack, "payments"))["payload"]["text"]
    await old.close()
    assert "*Callers* 1: web" in (await command(slack, "payments"))["payload"]["text"]


async def test_a_broken_connection_is_made_again_with_a_fresh_address(ready: Ready) -> None:
    _, slack = ready
    await slack.sockets.close()
    await connected(slack, 2)

    assert "*Callers* 1: web" in (await command(slack, "payments"))["payload"]["text"]
    assert len(slack.called("apps.connections.open")) == 2


@pytest.mark.parametrize("trouble", ["invalid_auth", "http_503", "drop", "ratelimited"])
async def test_a_bot_that_cannot_connect_keeps_trying_says_so_and_goes_on_working(tmp_path: Path, trouble: str) -> None:
    async with FakeSlack() as slack:
        slack.fail_next("apps.connections.open", trouble, retry_after=0.1)
        async with bot(tmp_path, **socket_only(slack)) as (running, session):
            async with session.get("/readyz") as answer:
                said = await answer.text()
            await learn(running, session)
            await connected(slack, 1)
            assert "*Callers* 1: web" in (await command(slack, "payments"))["payload"]["text"]

    assert "slack socket" in said
    assert APP_TOKEN not in said


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_secret_of_the_socket_is_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], log_format: str, plain_logs: None
) -> None:
    logs.configure(log_format, "debug")
    async with FakeSlack() as slack:
        slack.sockets.greets = False
        async with bot(tmp_path, **socket_only(slack)):
            await until(lambda: _true(slack.sockets.opened > 0), "the bot did not connect")
            await slack.sockets.say("no greeting")
            slack.sockets.greets = True
            await until(lambda: _true(slack.sockets.opened > 1), "the bot did not connect again")
        out = capsys.readouterr()

    assert "ticket=" not in out.out + out.err
    assert APP_TOKEN not in out.out + out.err
    assert "no_hello" in out.out + out.err


@pytest.fixture
def plain_logs() -> Iterator[None]:
    """What a test does to the logs is undone."""
    yield
    structlog.reset_defaults()


async def _true(value: bool) -> bool:
    return value


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "1", '{"type":"slash_commands"}', '{"type":"slash_commands","envelope_id":1,"payload":[]}',
             '{"type":"what","envelope_id":"e","payload":{}}', "x" * 100_000]
)  # fmt: skip
async def test_an_envelope_that_cannot_be_read_is_counted_and_the_next_one_is_answered(ready: Ready, text: str) -> None:
    _, slack = ready
    before = envelopes("unknown")
    await slack.sockets.say(text)

    assert "*Callers* 1: web" in (await command(slack, "payments"))["payload"]["text"]
    assert envelopes("unknown") == before + 1


async def test_many_envelopes_at_once_are_all_acknowledged(ready: Ready) -> None:
    _, slack = ready
    said = await asyncio.gather(*(command(slack, "payments") for _ in range(50)))
    assert all("payload" in one for one in said)


async def test_without_a_signing_secret_the_http_door_stays_closed(ready: Ready) -> None:
    running, slack = ready
    assert (await slack.slash_command(running.url, "payments")).status == 401


async def test_the_bot_ends_tidily_while_connected(tmp_path: Path) -> None:
    async with FakeSlack() as slack:
        async with bot(tmp_path, **socket_only(slack)):
            await connected(slack, 1)

        async def closed() -> bool:
            return not slack.sockets.open

        await until(closed, "the connection was left open", 3)
