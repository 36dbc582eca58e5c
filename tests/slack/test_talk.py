"""The bot is mentioned, or written to directly: events as Slack sends them, answered in their threads by the real Bolt app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.app import Running
from bot.slack.talk import question
from tests.kit.block_kit import refusal
from tests.kit.bots import bot, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.slack_channel import BOT_ID, BOT_USER, Post
from tests.kit.slack_requests import Sign
from tests.slack.test_commands import learn

Ready = tuple[Running, FakeSlack]


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    """A bot that knows web -> payments -> ledger, and its Slack with a direct conversation."""
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (running, session):
        slack.workspace.add_direct()
        await learn(running, session)
        yield running, slack


def mention(slack: FakeSlack, text: str, **more: Any) -> dict[str, Any]:
    """A person mentions the bot in the channel: the event of it."""
    post = slack.workspace.say("incidents", f"<@{BOT_USER}> {text}", thread_ts=more.get("thread_ts"))
    return {
        "type": "app_mention",
        "user": "U000000001",
        "text": post.text,
        "ts": post.ts,
        "channel": "C000000001",
    } | more


def direct(slack: FakeSlack, text: str, **more: Any) -> dict[str, Any]:
    """A person writes to the bot: the event of it."""
    post = slack.workspace.say("D000000001", text)
    return {
        "type": "message",
        "channel_type": "im",
        "user": "U000000001",
        "text": text,
        "ts": post.ts,
        "channel": "D000000001",
    } | more


async def answers(slack: FakeSlack, channel: str, count: int = 1) -> list[Post]:
    """What the bot has said there, once it has said that much."""

    async def said() -> list[Post]:
        found = [post for root in slack.messages(channel) for post in (root, *root.replies) if post.author == BOT_USER]
        return found if len(found) >= count else []

    found: list[Post] = await until(said, "the bot said nothing")
    for post in found:
        assert refusal(post.text, post.blocks) is None
    return found


async def test_a_mention_is_answered_in_a_thread_of_it(ready: Ready) -> None:
    running, slack = ready
    event = mention(slack, "payments")
    assert (await slack.event(running.url, event)).status == 200

    (answer,) = await answers(slack, "incidents")
    assert answer.thread_ts == event["ts"]
    assert "*Callers* 1: web" in answer.text


async def test_a_mention_in_a_thread_is_answered_in_that_thread(ready: Ready) -> None:
    running, slack = ready
    root = slack.workspace.say("incidents", "what is wrong?")
    await slack.event(running.url, mention(slack, "path web ledger", thread_ts=root.ts))

    (answer,) = await answers(slack, "incidents")
    assert answer.thread_ts == root.ts
    assert "web → payments → ledger" in answer.text


async def test_what_everybody_sees_has_no_button_to_share_it(ready: Ready) -> None:
    running, slack = ready
    await slack.event(running.url, mention(slack, "payments"))

    (answer,) = await answers(slack, "incidents")
    labels = [one["text"]["text"] for block in answer.blocks if block["type"] == "actions" for one in block["elements"]]
    assert labels == ["Deeper", "Map"]


async def test_a_direct_message_is_answered_beside_it_even_about_the_past(ready: Ready) -> None:
    running, slack = ready
    await slack.event(running.url, direct(slack, "diff payments 30m"))

    (answer,) = await answers(slack, "D000000001")
    assert answer.thread_ts is None
    assert "*payments* since <!date^" in answer.text


async def test_an_event_that_comes_again_is_answered_once(ready: Ready) -> None:
    running, slack = ready
    event = mention(slack, "payments")
    for retry in (0, 1, 2, 3):
        assert (await slack.event(running.url, event, retry=retry, event_id="Ev1")).status == 200
    await slack.event(running.url, mention(slack, "ledger"))

    assert ["*payments*" in post.text.splitlines()[0] for post in await answers(slack, "incidents", 2)] == [True, False]


@pytest.mark.parametrize(
    "changes",
    [
        {"bot_id": BOT_ID},
        {"bot_id": BOT_ID, "user": BOT_USER},
        {"subtype": "message_changed"},
        {"subtype": "message_deleted", "text": None},
        {"subtype": "channel_join"},
        {"channel_type": "channel"},
        {"channel_type": "group"},
        {"user": None},
        {"text": None},
        {"text": {"not": "a text"}},
    ],
)
async def test_what_is_no_question_to_the_bot_is_left_alone(ready: Ready, changes: dict[str, Any]) -> None:
    running, slack = ready
    assert (await slack.event(running.url, direct(slack, "payments") | changes)).status == 200
    await slack.event(running.url, mention(slack, "ledger"))

    await answers(slack, "incidents")
    assert [post for post in slack.messages("D000000001") if post.author == BOT_USER] == []


async def test_an_event_that_slack_did_not_sign_is_not_heard(ready: Ready) -> None:
    running, slack = ready
    assert (await slack.event(running.url, direct(slack, "payments"), sign=Sign.WRONG)).status == 401


async def test_an_answer_that_slack_does_not_take_is_given_up_and_the_next_one_comes(ready: Ready) -> None:
    running, slack = ready
    slack.fail_next("chat.postMessage", "http_500")
    await slack.event(running.url, mention(slack, "payments"))
    await asyncio.sleep(0.1)
    await slack.event(running.url, mention(slack, "ledger"))

    (answer,) = await answers(slack, "incidents")
    assert "*ledger*" in answer.text


async def test_hostile_words_to_the_bot_ring_nobody(ready: Ready) -> None:
    running, slack = ready
    for text in (
        "<!channel>",
        "<@U000000009>",
        "&lt;!here&gt;",
        "\u202e<!here>",
        "x" * 9_000,
        "<https://e.example|&lt;!here&gt;>",
    ):
        await slack.event(running.url, direct(slack, text))
    await answers(slack, "D000000001", 6)
    assert slack.workspace.mentions == []


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("<@U00000BOT1> payments", "payments"),
        ("hello <@U00000BOT1>: payments", "payments"),
        ("payments <@U00000BOT1>", "payments"),
        ("<@U00000BOT1|topology>, path web <http://pay.example.com|pay.example.com>", "path web pay.example.com"),
        ("owner <https://pay.example.com/x>", "owner pay.example.com/x"),
        ("path a -&gt; b", "path a -> b"),
        ("<#C123|payments>", "payments"),
        ("<@U00000BOT1>", ""),
    ],
)
def test_a_message_is_read_as_it_was_typed(text: str, asked: str) -> None:
    assert question(text) == asked


@given(st.text(max_size=500))
def test_any_message_is_read(text: str) -> None:
    assert isinstance(question(text), str)
