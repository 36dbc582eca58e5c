"""The fake Slack must refuse what the real one refuses, or the tests that stand on it prove nothing."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from tests.kit import block_kit
from tests.kit.fake_slack import SIGNING_SECRET, TOKEN, FakeSlack
from tests.kit.slack_limits import Limits
from tests.kit.slack_requests import Answer, Sign

ROOT = Path(__file__).parents[2]
Block = dict[str, Any]


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake:
        yield fake


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as one:
        yield one


@pytest.fixture
def client(slack: FakeSlack, session: aiohttp.ClientSession) -> AsyncWebClient:
    return AsyncWebClient(TOKEN, slack.url, session=session, retry_handlers=[])


async def error_of(call: Any) -> str:
    with pytest.raises(SlackApiError) as raised:
        await call
    return str(raised.value.response.get("error"))


def section(text: str, **more: object) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def button(label: str = "Go", **more: object) -> Block:
    return {"type": "button", "text": plain(label), "action_id": "a", **more}


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)}


# -- Block Kit ---------------------------------------------------------------------------------------------------------

GOOD: list[Block] = [
    {"type": "header", "text": plain("payments")},
    section("*x*", fields=[{"type": "mrkdwn", "text": "f"}], accessory=button()),
    actions(button(value="v", style="danger"), button("Open", action_id="b", url="https://a.test")),
    {
        "type": "context",
        "elements": [plain("now"), {"type": "image", "image_url": "https://a.test/i.png", "alt_text": "i"}],
    },
    {"type": "divider"},
    {"type": "markdown", "text": "**bold**"},
]


def test_a_good_message_has_nothing_to_object_to() -> None:
    assert list(block_kit.objections(GOOD)) == []
    assert block_kit.refusal("text", GOOD) is None


@pytest.mark.parametrize(
    ("block", "place"),
    [
        ({"type": "alert", "text": plain("x")}, "/blocks/0/type"),
        (section(""), "/blocks/0/text/text: empty"),
        (section("x" * 3_001), "/blocks/0/text/text: 3001 characters"),
        ({"type": "section"}, "neither text nor fields"),
        ({"type": "section", "fields": []}, "/blocks/0/fields: missing or empty"),
        ({"type": "section", "fields": [plain("x")] * 11}, "/blocks/0/fields: 11, at most 10"),
        ({"type": "section", "fields": [plain("x" * 2_001)]}, "/blocks/0/fields/0/text: 2001 characters"),
        ({"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": True}}, "mrkdwn has no emoji"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "/blocks/0/text/type"),
        ({"type": "header", "text": plain("x" * 151)}, "151 characters"),
        ({"type": "context", "elements": [plain("x")] * 11}, "/blocks/0/elements: 11"),
        (actions(*(button(action_id=str(number)) for number in range(26))), "/blocks/0/elements: 26"),
        (actions(button(), button()), "/blocks/0/elements/1/action_id: 'a' twice"),
        (actions(button("x" * 76)), "/blocks/0/elements/0/text/text: 76"),
        (actions(button(value="x" * 2_001)), "/blocks/0/elements/0/value: 2001"),
        (actions(button(url="x" * 3_001)), "/blocks/0/elements/0/url: 3001"),
        (actions(button(style="green")), "style: 'green'"),
        (actions(button(disabled=True)), "a button has no disabled"),
        (actions(button(action_id="x" * 256)), "action_id: 256"),
        (actions({"type": "static_select", "action_id": "m", "options": []}), "options: missing or empty"),
        (actions({"type": "overflow", "options": [{"text": plain("x"), "value": "v"}] * 6}), "options: 6, at most 5"),
        (actions({"type": "static_select", "options": [{"text": plain("x" * 76), "value": "v"}]}), "text/text: 76"),
        (actions({"type": "static_select", "options": [{"text": plain("x"), "value": "v" * 151}]}), "value: 151"),
        (section("x", block_id="b" * 256), "block_id: 256"),
        ({"type": "image", "image_url": "https://a.test/i.png"}, "/blocks/0/alt_text: missing"),
    ],
)
def test_a_block_over_a_limit_is_refused_with_its_place(block: Block, place: str) -> None:
    refusal = block_kit.refusal("text", [block])

    assert refusal is not None
    assert refusal.code == "invalid_blocks"
    assert any(place in detail for detail in refusal.details), refusal.details


@pytest.mark.parametrize(
    ("text", "blocks", "code"),
    [
        ("", [], "no_text"),
        (" ", None, "no_text"),
        ("x" * 40_001, [], "msg_too_long"),
        ("x", "[]", "invalid_blocks_format"),
        ("x", [{"type": "divider"}] * 51, "invalid_blocks"),
        ("x", [section("1", block_id="b"), section("2", block_id="b")], "invalid_blocks"),
        ("x", [section("x" * 3_000)] * 4 + [section("x")], "msg_blocks_too_long"),
    ],
)
def test_a_message_as_a_whole_can_be_refused(text: str, blocks: object, code: str) -> None:
    refusal = block_kit.refusal(text, blocks)

    assert refusal is not None
    assert refusal.code == code


def test_mentions_are_seen_wherever_they_would_ring() -> None:
    blocks = [section("<!channel> <@U1|ann>"), actions(button("<!here>", value="<@U2>")), section("&lt;!channel&gt;")]

    assert block_kit.mentions(["<!subteam^S1|@pay>", *blocks]) == ["<!subteam^S1|@pay>", "<!channel>", "<@U1|ann>"]


# -- the Web API -------------------------------------------------------------------------------------------------------


async def test_a_post_is_seen_with_its_blocks_and_its_metadata(slack: FakeSlack, client: AsyncWebClient) -> None:
    metadata = {"event_type": "topology_bot", "event_payload": {"key": "k1"}}
    answer = await client.chat_postMessage(channel="#incidents", text="hi", blocks=GOOD, metadata=metadata)
    [post] = slack.messages("incidents")

    assert (post.ts, post.text, post.blocks, post.key, post.edits) == (answer["ts"], "hi", GOOD, "k1", 0)
    assert answer["channel"] == slack.workspace.channel("incidents").id


async def test_arguments_come_as_json_or_as_a_form(slack: FakeSlack, session: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    fields = {"channel": "incidents", "text": "form", "blocks": json.dumps([section("x")])}
    for body in ({"json": {"channel": "incidents", "text": "json"}}, {"data": fields}):
        async with session.post(f"{slack.url}chat.postMessage", headers=headers, **body) as response:  # type: ignore[arg-type]
            assert (await response.json())["ok"] is True

    assert [(post.text, len(post.blocks)) for post in slack.messages("incidents")] == [("json", 0), ("form", 1)]


@pytest.mark.parametrize(
    ("authorization", "error"), [(None, "not_authed"), ("Bearer xoxb-other", "invalid_auth"), (TOKEN, "not_authed")]
)
async def test_a_call_needs_the_token(
    slack: FakeSlack, session: aiohttp.ClientSession, authorization: str | None, error: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with session.post(f"{slack.url}auth.test", headers=headers) as response:
        assert response.status == 200
        assert (await response.json())["error"] == error


async def test_a_token_can_be_revoked_and_repaired(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.token_error = "token_revoked"

    assert await error_of(client.auth_test()) == "token_revoked"
    slack.token_error = ""
    assert (await client.auth_test())["user"] == "topology-bot"


async def test_every_call_is_remembered_without_its_token(slack: FakeSlack, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="incidents", text="hi")
    [call] = slack.called("chat.postMessage")

    assert (call.args["text"], call.outcome) == ("hi", "ok")
    assert TOKEN not in str(call)


async def test_an_unknown_method_is_named_as_such(client: AsyncWebClient) -> None:
    assert await error_of(client.api_call("chat.shout")) == "unknown_method"


async def test_a_scope_can_be_missing(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.workspace.scopes.discard("chat:write")

    assert await error_of(client.chat_postMessage(channel="incidents", text="hi")) == "missing_scope"


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("nowhere", None, "channel_not_found"),
        ("secret", {"private": True, "member": False}, "channel_not_found"),
        ("public", {"member": False}, "not_in_channel"),
        ("old", {"archived": True}, "is_archived"),
    ],
)
async def test_a_channel_can_be_closed_to_the_bot(
    slack: FakeSlack, client: AsyncWebClient, name: str, options: dict[str, bool] | None, error: str
) -> None:
    if options is not None:
        slack.workspace.add_channel(name, **options)

    assert await error_of(client.chat_postMessage(channel=name, text="hi")) == error


async def test_a_reply_stands_in_its_thread_and_one_without_a_root_in_the_channel(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    root = await client.chat_postMessage(channel="incidents", text="root")
    reply = await client.chat_postMessage(channel="incidents", text="reply", thread_ts=root["ts"])
    lost = await client.chat_postMessage(channel="incidents", text="lost", thread_ts="1.000001")
    nested = await client.chat_postMessage(channel="incidents", text="nested", thread_ts=reply["ts"])

    assert [post.text for post in slack.messages("incidents")] == ["root", "lost", "nested"]
    assert [post.text for post in slack.messages("incidents")[0].replies] == ["reply"]
    assert reply["message"]["thread_ts"] == root["ts"]
    assert "thread_ts" not in lost["message"]
    assert "thread_ts" not in nested["message"]


async def test_a_long_text_without_blocks_becomes_several_messages(slack: FakeSlack, client: AsyncWebClient) -> None:
    answer = await client.chat_postMessage(channel="incidents", text="x" * 4_001)

    assert [len(post.text) for post in slack.messages("incidents")] == [4_000, 1]
    assert answer["ts"] == slack.messages("incidents")[0].ts


async def test_ts_are_strings_in_order_and_never_twice_the_same(client: AsyncWebClient) -> None:
    stamps = [(await client.chat_postMessage(channel="incidents", text="x"))["ts"] for _ in range(50)]

    assert all(isinstance(ts, str) for ts in stamps)
    assert stamps == sorted(set(stamps))


async def test_an_edit_keeps_its_place_and_replaces_the_blocks(slack: FakeSlack, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel="incidents", text="one", blocks=[section("one")])
    await client.chat_update(channel=posted["channel"], ts=posted["ts"], text="two", blocks=[])
    [post] = slack.messages("incidents")

    assert (post.ts, post.text, post.blocks, post.edits) == (posted["ts"], "two", [], 1)


async def test_only_own_messages_can_be_edited_and_only_by_channel_id(slack: FakeSlack, client: AsyncWebClient) -> None:
    theirs = slack.workspace.say("incidents", "a person's")
    channel = slack.workspace.channel("incidents").id

    assert await error_of(client.chat_update(channel=channel, ts=theirs.ts, text="x")) == "cant_update_message"
    assert await error_of(client.chat_update(channel=channel, ts="1.000001", text="x")) == "message_not_found"
    assert await error_of(client.chat_update(channel="incidents", ts=theirs.ts, text="x")) == "channel_not_found"


async def test_an_ephemeral_message_is_not_in_the_channel(slack: FakeSlack, client: AsyncWebClient) -> None:
    await client.chat_postEphemeral(channel="incidents", user="U1", text="for you")

    assert slack.messages("incidents") == []
    assert slack.workspace.ephemerals[0]["text"] == "for you"


async def test_history_is_newest_first_in_pages_and_hides_metadata_unless_asked(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    channel = slack.workspace.channel("incidents").id
    for number in range(5):
        metadata = {"event_type": "e", "event_payload": {"key": str(number)}}
        await client.chat_postMessage(channel=channel, text=str(number), metadata=metadata)
    first = await client.conversations_history(channel=channel, limit=3)
    cursor = first["response_metadata"]["next_cursor"]
    second = await client.conversations_history(channel=channel, limit=3, cursor=cursor, include_all_metadata=True)

    assert [message["text"] for message in first["messages"]] == ["4", "3", "2"]
    assert first["messages"][0]["metadata"] == {"event_type": "e"}
    assert [message["metadata"]["event_payload"]["key"] for message in second["messages"]] == ["1", "0"]
    assert second["response_metadata"]["next_cursor"] == ""
    newer = await client.conversations_history(channel=channel, oldest=second["messages"][0]["ts"])
    assert [message["text"] for message in newer["messages"]] == ["4", "3", "2"]


async def test_metadata_stays_hidden_from_a_token_without_the_scope(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.workspace.scopes.discard("metadata.message:read")
    metadata = {"event_type": "e", "event_payload": {"key": "k"}}
    channel = (await client.chat_postMessage(channel="incidents", text="x", metadata=metadata))["channel"]
    answer = await client.conversations_history(channel=channel, include_all_metadata=True)

    assert answer["messages"][0]["metadata"] == {"event_type": "e"}
    assert "metadata.message:read" not in answer.headers["X-OAuth-Scopes"]


async def test_a_thread_is_read_from_its_root(slack: FakeSlack, client: AsyncWebClient) -> None:
    root = await client.chat_postMessage(channel="incidents", text="root")
    await client.chat_postMessage(channel="incidents", text="reply", thread_ts=root["ts"])
    thread = await client.conversations_replies(channel=root["channel"], ts=root["ts"])

    assert [message["text"] for message in thread["messages"]] == ["root", "reply"]
    assert await error_of(client.conversations_replies(channel=root["channel"], ts="1.000001")) == "thread_not_found"


async def test_reading_methods_do_not_read_json_bodies(slack: FakeSlack, client: AsyncWebClient) -> None:
    channel = slack.workspace.channel("incidents").id

    assert await error_of(client.api_call("conversations.history", json={"channel": channel})) == "channel_not_found"


async def test_channels_are_listed_in_pages_without_foreign_private_ones(
    slack: FakeSlack, client: AsyncWebClient
) -> None:
    slack.workspace.add_channel("ours", private=True)
    slack.workspace.add_channel("theirs", private=True, member=False)
    kinds = "public_channel,private_channel"
    first = await client.conversations_list(types=kinds, limit=1)
    second = await client.conversations_list(types=kinds, limit=1, cursor=first["response_metadata"]["next_cursor"])

    assert [one["name"] for answer in (first, second) for one in answer["channels"]] == ["incidents", "ours"]
    assert second["response_metadata"]["next_cursor"] == ""
    assert (await client.conversations_info(channel=first["channels"][0]["id"]))["channel"]["is_member"] is True


# -- failures and limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("kind", ["http_500", "http_503", "fatal_error", "internal_error", "drop", "timeout"])
async def test_a_call_can_fail_before_or_after_it_was_carried_out(
    slack: FakeSlack, client: AsyncWebClient, kind: str, accepted: bool
) -> None:
    slack.fail_next("chat.postMessage", kind, accepted=accepted)
    with pytest.raises((SlackApiError, aiohttp.ClientError, TimeoutError)):
        async with asyncio.timeout(0.3):
            await client.chat_postMessage(channel="incidents", text="hi")

    assert len(slack.messages("incidents")) == int(accepted)
    await client.chat_postMessage(channel="incidents", text="again")
    assert slack.messages("incidents")[-1].text == "again"


async def test_a_post_can_be_carried_out_after_its_sender_gave_up(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.fail_next("chat.postMessage", "timeout", accepted=True, delay=0.2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.chat_postMessage(channel="incidents", text="late")

    assert slack.messages("incidents") == []
    await asyncio.sleep(0.3)
    assert [post.text for post in slack.messages("incidents")] == ["late"]


async def test_a_refusal_for_speed_says_when_to_come_back(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.fail_next("chat.postMessage", "ratelimited", retry_after=7, times=2)
    for _ in range(2):
        with pytest.raises(SlackApiError) as raised:
            await client.chat_postMessage(channel="incidents", text="hi")
        assert raised.value.response.status_code == 429
        assert raised.value.response.headers["Retry-After"] == "7"

    await client.chat_postMessage(channel="incidents", text="hi")


def test_a_channel_takes_a_burst_and_then_one_post_a_second() -> None:
    limits = Limits(burst=2)
    refusals = [limits.refuse("chat.postMessage", "C1", now) for now in (0.0, 0.0, 0.0, 0.5, 1.0)]

    assert refusals == [None, None, 1.0, 0.5, None]
    assert limits.refuse("chat.postMessage", "C2", 1.0) is None


def test_a_tier_refuses_what_is_over_its_calls_a_minute() -> None:
    limits = Limits()
    refusals = [limits.refuse("chat.update", "C1", number * 0.5) for number in range(51)]

    assert refusals[:50] == [None] * 50
    assert refusals[50] == 35.0
    assert limits.refuse("chat.update", "C1", 60.0) is None


async def test_the_limits_are_off_until_switched_on(session: aiohttp.ClientSession) -> None:
    async with FakeSlack(limits=Limits(burst=1, second=0.1)) as slack:
        client = AsyncWebClient(TOKEN, slack.url, session=session, retry_handlers=[])
        for _ in range(3):
            await client.chat_postMessage(channel="incidents", text="hi")
        slack.rate_limits = True
        await client.chat_postMessage(channel="incidents", text="hi")

        assert await error_of(client.chat_postMessage(channel="incidents", text="hi")) == "ratelimited"


# -- towards the bot ---------------------------------------------------------------------------------------------------


class Bot:
    """Keeps what it is sent and answers by the signature, as slack_sdk verifies it."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = dict(request.headers)
        self.headers.append(headers)
        self.bodies.append(
            json.loads(body) if request.content_type == "application/json" else dict(await request.post())
        )
        good = SignatureVerifier(SIGNING_SECRET).is_valid_request(body, headers)
        return web.json_response({"ok": good}, status=200 if good else 401)


@pytest.fixture
async def bot() -> AsyncIterator[Bot]:
    one = Bot()
    application = web.Application()
    application.router.add_post("/slack/events", one.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


async def test_a_slash_command_arrives_as_a_signed_form(slack: FakeSlack, bot: Bot) -> None:
    answer = await slack.slash_command(bot.url, "payments & co")

    assert (answer.status, answer.json()) == (200, {"ok": True})
    assert (bot.bodies[0]["command"], bot.bodies[0]["text"]) == ("/topology", "payments & co")
    assert bot.bodies[0]["channel_id"] == slack.workspace.channel("incidents").id


async def test_a_click_arrives_as_a_payload_with_a_fresh_trigger(slack: FakeSlack, bot: Bot) -> None:
    for _ in range(2):
        await slack.interaction(bot.url, {"actions": [{"action_id": "topology_show", "value": "payments"}]})
    first, second = (json.loads(body["payload"]) for body in bot.bodies)

    assert first["type"] == "block_actions"
    assert first["actions"][0]["value"] == "payments"
    assert first["trigger_id"] != second["trigger_id"]


async def test_an_event_arrives_in_its_envelope_and_says_when_it_is_sent_again(slack: FakeSlack, bot: Bot) -> None:
    await slack.event(bot.url, {"type": "app_mention", "text": "hi"}, event_id="Ev1")
    await slack.event(bot.url, {"type": "app_mention", "text": "hi"}, event_id="Ev1", retry=1)
    await slack.event(bot.url, {"type": "url_verification", "challenge": "c"})

    assert [body.get("event_id") for body in bot.bodies] == ["Ev1", "Ev1", None]
    assert bot.bodies[0]["event"] == {"type": "app_mention", "text": "hi"}
    assert [headers.get("X-Slack-Retry-Num") for headers in bot.headers] == [None, "1", None]


@pytest.mark.parametrize("sign", [Sign.WRONG, Sign.MISSING, Sign.OLD])
async def test_a_request_can_be_signed_wrongly(slack: FakeSlack, bot: Bot, sign: Sign) -> None:
    answers: list[Answer] = [
        await slack.slash_command(bot.url, "payments", sign=sign),
        await slack.interaction(bot.url, {"actions": []}, sign=sign),
        await slack.event(bot.url, {"type": "app_mention"}, sign=sign),
    ]

    assert [answer.status for answer in answers] == [401, 401, 401]


async def test_a_response_url_takes_five_posts(slack: FakeSlack, session: aiohttp.ClientSession) -> None:
    url = slack.response_url()
    statuses = []
    for number in range(6):
        async with session.post(url, json={"text": str(number)}) as response:
            statuses.append(response.status)

    assert statuses == [200] * 5 + [404]
    assert [body["text"] for body in slack.responses] == list("01234")


async def test_a_response_url_ends_after_half_an_hour(
    slack: FakeSlack, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, now = slack.response_url(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1_801)
    async with session.post(url, json={"text": "late"}) as response:
        assert (response.status, await response.json()) == (404, {"ok": False, "error": "expired_url"})


# -- as a process ------------------------------------------------------------------------------------------------------


async def test_it_runs_as_a_process_that_logs_shows_and_fails_on_request(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    log = tmp_path / "posts.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit.fake_slack", "--log", str(log), "--channel", "ops",
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        client = AsyncWebClient(TOKEN, url, session=session, retry_handlers=[])
        base = url.removesuffix("api/")
        async with session.post(f"{base}_fail", json={"method": "chat.postMessage", "kind": "fatal_error"}) as response:
            assert response.status == 204
        assert await error_of(client.chat_postMessage(channel="ops", text="one")) == "fatal_error"
        posted = await client.chat_postMessage(channel="ops", text="two")
        await client.chat_update(channel=posted["channel"], ts=posted["ts"], text="three")
        async with session.get(f"{base}_messages") as response:
            assert [post["text"] for post in (await response.json())["ops"]] == ["three"]
    finally:
        process.terminate()
        await process.wait()

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["what"], line["text"], line["ts"]) for line in lines] == [
        ("post", "two", posted["ts"]),
        ("update", "three", posted["ts"]),
    ]
