"""The Slack client: what each failure means for the sender, and finding a message again."""

from __future__ import annotations

import time
import traceback
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import AmbiguousDeliveryError, DeliveryError, PermanentDeliveryError, RetryableDeliveryError
from bot.model import Message
from bot.sinks import LookupFailed, Posted, Verdict
from bot.slack.client import SlackSink
from bot.slack.verdict import verdict
from tests.kit.fake_slack import TOKEN, FakeSlack
from tests.slack.bench import message


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as one:
        yield one


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as fake:
        yield fake


def sink_at(url: str, session: aiohttp.ClientSession, token: str = TOKEN) -> SlackSink:
    return SlackSink(AsyncWebClient(token, url, session=session, retry_handlers=[]), timeout=0.3)


@pytest.fixture
def sink(slack: FakeSlack, session: aiohttp.ClientSession) -> SlackSink:
    return sink_at(slack.url, session)


async def post(sink: SlackSink, key: str = "k1", channel: str = "incidents", thread_ts: str | None = None) -> Posted:
    return await sink.post(key=key, channel=channel, message=message("payments is failing"), thread_ts=thread_ts)


async def failure_of_post(sink: SlackSink) -> DeliveryError:
    with pytest.raises(DeliveryError) as raised:
        await post(sink)
    return raised.value


# -- what a failure means ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["http_500", "http_502", "http_503", "fatal_error", "internal_error", "service_unavailable"]
)
async def test_a_failure_inside_slack_leaves_a_post_in_doubt(slack: FakeSlack, sink: SlackSink, kind: str) -> None:
    slack.fail_next("chat.postMessage", kind)
    error = await failure_of_post(sink)

    assert isinstance(error, AmbiguousDeliveryError)
    assert error.code == kind


@pytest.mark.parametrize(("kind", "code"), [("drop", "ServerDisconnectedError"), ("timeout", "TimeoutError")])
async def test_a_connection_lost_after_sending_leaves_a_post_in_doubt(
    slack: FakeSlack, sink: SlackSink, kind: str, code: str
) -> None:
    slack.fail_next("chat.postMessage", kind)
    error = await failure_of_post(sink)

    assert isinstance(error, AmbiguousDeliveryError)
    assert error.code == code


async def test_without_a_connection_nothing_was_sent(session: aiohttp.ClientSession) -> None:
    error = await failure_of_post(sink_at("http://127.0.0.1:1/api/", session))

    assert isinstance(error, RetryableDeliveryError)
    assert error.retry_after is None


async def test_too_fast_comes_with_the_time_to_wait(slack: FakeSlack, sink: SlackSink) -> None:
    slack.fail_next("chat.postMessage", "ratelimited", retry_after=17)
    error = await failure_of_post(sink)

    assert isinstance(error, RetryableDeliveryError)
    assert (error.code, error.retry_after) == ("ratelimited", 17.0)


@pytest.mark.parametrize("code", ["rate_limited", "message_limit_exceeded", "request_timeout"])
async def test_slacks_other_words_for_come_again_mean_just_that(slack: FakeSlack, sink: SlackSink, code: str) -> None:
    slack.fail_next("chat.postMessage", code)
    error = await failure_of_post(sink)

    assert isinstance(error, RetryableDeliveryError)
    assert error.code == code


@pytest.mark.parametrize(
    ("code", "whose"),
    [
        ("invalid_auth", Verdict.AUTH),
        ("missing_scope", Verdict.AUTH),
        ("channel_not_found", Verdict.CHANNEL),
        ("restricted_action_read_only_channel", Verdict.CHANNEL),
        ("msg_blocks_too_long", Verdict.PAYLOAD),
        ("metadata_too_large", Verdict.PAYLOAD),
        ("message_not_found", Verdict.GONE),
        ("a_word_of_tomorrow", Verdict.UNKNOWN),
    ],
)
async def test_any_other_word_is_a_refusal_and_says_whose_fault_it_is(
    slack: FakeSlack, sink: SlackSink, code: str, whose: Verdict
) -> None:
    slack.fail_next("chat.postMessage", code)
    error = await failure_of_post(sink)

    assert isinstance(error, PermanentDeliveryError)
    assert (error.code, verdict(error.code)) == (code, whose)


@pytest.mark.parametrize("kind", ["http_500", "fatal_error", "drop", "timeout"])
async def test_an_edit_in_doubt_can_simply_be_repeated(slack: FakeSlack, sink: SlackSink, kind: str) -> None:
    posted = await post(sink)
    slack.fail_next("chat.update", kind)
    with pytest.raises(RetryableDeliveryError):
        await sink.update(channel_id=posted.channel_id, ts=posted.ts, message=message("two"))


@pytest.mark.parametrize(
    ("status", "kind", "body", "expected"),
    [
        (200, "text/plain", "Please log in to the guest network", AmbiguousDeliveryError),
        (200, "text/html", "<html>", AmbiguousDeliveryError),
        (200, "application/json", '{"ok": tr', AmbiguousDeliveryError),
        (200, "application/json", "[]", AmbiguousDeliveryError),
        (200, "application/json", '{"ok": true}', AmbiguousDeliveryError),
        (200, "application/json", '{"ok": false}', AmbiguousDeliveryError),
        (502, "text/plain", "bad gateway", AmbiguousDeliveryError),
        (404, "text/html", "<html>", RetryableDeliveryError),
        (407, "text/html", "<html>", RetryableDeliveryError),
        (413, "text/html", "<html>", PermanentDeliveryError),
        (429, "text/html", "<html>", RetryableDeliveryError),
    ],
)
async def test_whatever_stands_between_us_and_slack_answers_it_is_one_of_the_three(
    session: aiohttp.ClientSession, status: int, kind: str, body: str, expected: type[DeliveryError]
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, content_type=kind, text=body)

    application = web.Application()
    application.router.add_route("*", "/api/{method}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        error = await failure_of_post(sink_at(f"http://127.0.0.1:{runner.addresses[0][1]}/api/", session))
    finally:
        await runner.cleanup()

    assert type(error) is expected


@pytest.mark.parametrize("kind", ["http_500", "invalid_auth", "drop", "timeout", "ratelimited"])
async def test_no_error_says_the_token(slack: FakeSlack, sink: SlackSink, kind: str) -> None:
    slack.fail_next("chat.postMessage", kind)
    error = await failure_of_post(sink)

    assert TOKEN not in "".join(traceback.format_exception(error)) + repr(error.__dict__)


# -- posting and editing -----------------------------------------------------------------------------------------------


async def test_an_edit_to_plain_text_takes_the_blocks_away(slack: FakeSlack, sink: SlackSink) -> None:
    posted = await post(sink)
    await sink.update(channel_id=posted.channel_id, ts=posted.ts, message=Message("plain", ()))
    [shown] = slack.messages("incidents")

    assert (shown.text, shown.blocks) == ("plain", [])


async def test_a_reply_that_landed_in_the_channel_says_so(sink: SlackSink) -> None:
    root = await post(sink)

    assert (await post(sink, "k2", thread_ts=root.ts)).misplaced is False
    assert (await post(sink, "k3", thread_ts="1.000001")).misplaced is True


async def test_the_check_names_the_workspace_and_the_bot(sink: SlackSink) -> None:
    assert await sink.check() == "ok: workspace Acme as bot topology-bot"


async def test_the_check_says_that_doubtful_posts_cannot_be_looked_up(slack: FakeSlack, sink: SlackSink) -> None:
    slack.workspace.scopes.discard("metadata.message:read")

    assert "no scope metadata.message:read" in await sink.check()


async def test_the_check_of_a_bad_token_fails_with_slacks_word(
    slack: FakeSlack, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(PermanentDeliveryError, match="invalid_auth"):
        await sink_at(slack.url, session, "xoxb-other").check()


# -- finding -----------------------------------------------------------------------------------------------------------


async def find(
    sink: SlackSink, key: str, channel: str = "incidents", thread_ts: str | None = None, age: float = 0.0
) -> Posted | None:
    return await sink.find(key=key, channel=channel, thread_ts=thread_ts, since=time.time() - age)


async def test_a_message_is_found_by_its_key_among_others(slack: FakeSlack, sink: SlackSink) -> None:
    slack.workspace.say("incidents", "payments is failing")
    posted = [await post(sink, key) for key in ("k1", "k2", "k3")]

    assert await find(sink, "k2") == posted[1]
    assert await find(sink, "k4") is None


async def test_a_root_with_replies_is_found_too(sink: SlackSink) -> None:
    root = await post(sink)
    reply = await post(sink, "k2", thread_ts=root.ts)

    assert await find(sink, "k1") == root
    assert await find(sink, "k2", thread_ts=root.ts) == reply
    assert await find(sink, "k2") is None


async def test_a_reply_whose_root_is_gone_is_found_in_the_channel(slack: FakeSlack, sink: SlackSink) -> None:
    lost = await post(sink, thread_ts="1.000001")

    assert await find(sink, "k1", thread_ts="1.000001") == lost
    assert lost.misplaced is True


async def test_a_message_is_found_on_a_later_page(slack: FakeSlack, sink: SlackSink) -> None:
    posted = await post(sink)
    for number in range(250):
        slack.workspace.say("incidents", f"chatter {number}")

    assert await find(sink, "k1") == posted
    assert len(slack.called("conversations.history")) == 3


async def test_where_too_much_was_said_since_it_does_not_claim_that_the_message_is_not_there(
    slack: FakeSlack, sink: SlackSink
) -> None:
    for number in range(501):
        slack.workspace.say("incidents", f"chatter {number}")
    with pytest.raises(LookupFailed, match="too_many_messages"):
        await find(sink, "k1")


async def test_only_what_was_said_since_is_read(slack: FakeSlack, sink: SlackSink) -> None:
    await find(sink, "k1", age=10.0)
    oldest = float(slack.called("conversations.history")[0].args["oldest"])

    assert 60 <= time.time() - oldest <= 80  # a minute's difference between the clocks is allowed for


async def test_a_channels_name_is_known_from_earlier_posts(slack: FakeSlack, sink: SlackSink) -> None:
    await post(sink, channel="#incidents")
    await find(sink, "k1", "#incidents")

    assert slack.called("conversations.list") == []


async def test_a_channels_name_nobody_posted_to_yet_is_looked_up_once(slack: FakeSlack, sink: SlackSink) -> None:
    for number in range(250):
        slack.workspace.add_channel(f"channel-{number}", private=number % 2 == 0)
    for _ in range(2):
        assert await find(sink, "k1", "channel-248") is None

    assert len(slack.called("conversations.list")) == 2


async def test_a_channel_that_is_not_there_cannot_be_looked_through(sink: SlackSink) -> None:
    with pytest.raises(LookupFailed, match="channel_not_found"):
        await find(sink, "k1", "nowhere")


@pytest.mark.parametrize("scopes", [{"channels:history", "groups:history"}, {"metadata.message:read"}])
async def test_without_the_scope_to_look_it_says_so(slack: FakeSlack, sink: SlackSink, scopes: set[str]) -> None:
    await post(sink)
    slack.workspace.scopes -= scopes
    with pytest.raises(LookupFailed, match="missing_scope"):
        await find(sink, "k1")


@pytest.mark.parametrize("kind", ["http_503", "drop", "timeout", "ratelimited", "fatal_error"])
async def test_a_look_up_that_fails_for_now_can_be_repeated(slack: FakeSlack, sink: SlackSink, kind: str) -> None:
    await post(sink)
    slack.fail_next("conversations.history", kind, times=2)  # aiohttp itself repeats a GET whose connection broke, once
    with pytest.raises(RetryableDeliveryError):
        await find(sink, "k1")
