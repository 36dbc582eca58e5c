"""The Slack Web API as a `Sink`: messages in, `(channel id, ts)` out, and every failure as one of three kinds.

The client must come with slack_sdk's own retries off (`retry_handlers=[]`): by default it repeats a post whose connection
broke, which can double it; the outbox knows better. Nothing is kept but the ids of channel names seen, up to a cap. Error
texts are Slack's error words and the names of exception types, so that no token and no address can be in them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.errors import AmbiguousDeliveryError, DeliveryError, PermanentDeliveryError, RetryableDeliveryError
from bot.model import Message
from bot.sinks import LookupFailed, Posted
from bot.slack import enclosures
from bot.slack.budget import fit
from bot.slack.hush import hushed, posted

EVENT_TYPE = "topology_bot"
METADATA_SCOPE = "metadata.message:read"
MAX_CHANNEL_IDS = 2_000

_CHANNEL_ID = re.compile(r"^[CGD][A-Z0-9]{6,}$")
_PERSON_ID = re.compile(r"^[UW][A-Z0-9]{6,}$")
# Slack's clock and ours may differ; a message posted "before" it was written would not be found.
_CLOCK_SKEW = 60.0
_HISTORY_PAGES, _LIST_PAGES = 5, 10
# Words for "not taken, come again" and for "failed, maybe after it was taken" (`fatal_error` says so in Slack's docs).
_LIMITED = frozenset(("ratelimited", "rate_limited", "message_limit_exceeded"))
_NOT_TAKEN = frozenset(("request_timeout", "team_added_to_org"))
_DOUBTFUL = frozenset(("", "fatal_error", "internal_error", "service_unavailable"))
_UNREADY = ("invalid_blocks", "cannot_parse_attachment")  # what Slack says to a picture it has not worked yet
_UNREADY_SECONDS = (1.0, 2.0, 0.0)
"""Slack refuses a message with a picture that it has not looked through yet: it is sent again after these, at last without."""
BELOW_SLACK = (aiohttp.ClientError, OSError, TimeoutError)

Answer = Mapping[str, Any]
Attach = Callable[[Message], Awaitable[Message]]
"""A message as Slack takes it, with what it encloses uploaded or in words; never fails (see `bot.slack.files`)."""


async def in_words_only(message: Message) -> Message:
    """Upload nothing."""
    return enclosures.told(message)


def web_client(token: str, api_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A client as `SlackSink` wants it. The outbox retries; a client that does so by itself would post twice."""
    base = api_url.rstrip("/") + "/"
    return AsyncWebClient(token=token or None, base_url=base, session=session, retry_handlers=[], timeout=10)


async def socket_address(client: AsyncWebClient, app_token: str) -> str:
    """A fresh address for Socket Mode (docs.slack.dev/reference/methods/apps.connections.open), good for one connection: a
    secret. Raises DeliveryError."""
    try:
        answer = await client.apps_connections_open(app_token=app_token)
    except SlackApiError as error:
        raise failure(error) from None
    except (*BELOW_SLACK, AttributeError) as error:
        raise RetryableDeliveryError(type(error).__name__) from None
    return str(answer.get("url") or "")


async def publish_home(client: AsyncWebClient, user: str, blocks: Sequence[Any]) -> None:
    """Replace a person's App Home tab (docs.slack.dev/reference/methods/views.publish). Raises DeliveryError."""
    try:
        async with asyncio.timeout(10.0):
            await client.views_publish(user_id=user, view={"type": "home", "blocks": [dict(block) for block in blocks]})
    except SlackApiError as error:
        raise failure(error) from None
    except (*BELOW_SLACK, AttributeError) as error:
        raise RetryableDeliveryError(type(error).__name__) from None


class SlackSink:
    """Posts, edits and finds messages as the bot whose token `client` has.

    `timeout` (s) bounds each call; `find` may make several within twice that. The client and its session stay the
    caller's; it should have no retry handlers.
    """

    name = "slack"

    def __init__(self, client: AsyncWebClient, timeout: float = 10.0, attach: Attach = in_words_only) -> None:
        self._web = client
        self._attach = attach
        self._timeout = timeout
        self._channel_ids: OrderedDict[str, str] = OrderedDict()
        # slack_sdk writes every request out in full for its debug log unless its logger's own level forbids it.
        if client.logger.level == logging.NOTSET:
            client.logger.setLevel(logging.INFO)

    async def post(self, *, key: str, channel: str, message: Message, thread_ts: str | None) -> Posted:
        """See `Sink.post`. `channel` is an id or a name."""

        def send(fitted: Message) -> Awaitable[AsyncSlackResponse]:
            return self._web.chat_postMessage(
                channel=channel,
                text=fitted.text,
                blocks=_blocks(fitted) or None,
                thread_ts=thread_ts,
                unfurl_links=False,
                unfurl_media=False,
                metadata={"event_type": EVENT_TYPE, "event_payload": {"key": key}},
            )

        answer = await self._shown(send, posted(message) if thread_ts is None else hushed(message))
        channel_id, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel_id, str) or not isinstance(ts, str):
            raise AmbiguousDeliveryError("no_ts")
        self._remember(channel, channel_id)
        # A reply to a root that was deleted is posted to the channel, without an error (slack-go/slack#1571).
        shown = answer.get("message")
        placed = shown.get("thread_ts") if isinstance(shown, Mapping) else thread_ts
        return Posted(channel_id, ts, misplaced=thread_ts is not None and placed != thread_ts)

    async def update(self, *, channel_id: str, ts: str, message: Message) -> None:
        """See `Sink.update`. Blocks are always sent, since leaving them out keeps the old ones in some clients."""

        def send(fitted: Message) -> Awaitable[AsyncSlackResponse]:
            return self._web.chat_update(channel=channel_id, ts=ts, text=fitted.text, blocks=_blocks(fitted))

        try:
            await self._shown(send, hushed(message))
        except AmbiguousDeliveryError as error:
            raise RetryableDeliveryError(error.code) from None

    async def unfurl(self, place: Mapping[str, str], url: str, message: Message) -> None:
        """Show below a message what a link in it leads to (docs.slack.dev/reference/methods/chat.unfurl). `place`: `channel` and
        `ts`, or `unfurl_id` and `source`; `url` as the event has it. Raises DeliveryError."""

        def send(fitted: Message) -> Awaitable[AsyncSlackResponse]:
            return self._web.chat_unfurl(
                channel=place.get("channel"),
                ts=place.get("ts"),
                unfurl_id=place.get("unfurl_id"),
                source=place.get("source"),
                unfurls={url: {"blocks": _blocks(fitted)}},
            )

        await self._shown(send, hushed(message))

    async def find(self, *, key: str, channel: str, thread_ts: str | None, since: float) -> Posted | None:
        """See `Sink.find`. Needs the scopes to read the channel's history, and `metadata.message:read`."""
        try:
            async with asyncio.timeout(2 * self._timeout):
                channel_id = await self._channel_id(channel)
                ts = None if thread_ts is None else await self._find_in(channel_id, key, since, thread_ts)
                if ts is not None:
                    return Posted(channel_id, ts)
                # A reply to a root that is gone stands in the channel.
                ts = await self._find_in(channel_id, key, since, None)
                return None if ts is None else Posted(channel_id, ts, misplaced=thread_ts is not None)
        except PermanentDeliveryError as error:
            raise LookupFailed(error.code) from None
        except AmbiguousDeliveryError as error:
            raise RetryableDeliveryError(error.code) from None
        except TimeoutError:
            raise RetryableDeliveryError("timeout") from None

    async def check(self) -> str:
        """See `Sink.check`; also says what the token may not do that the sender relies on."""
        answer = await self._call(self._web.auth_test())
        lacking = "" if _may_read_metadata(answer) else f"; cannot look doubtful posts up: no scope {METADATA_SCOPE}"
        return f"ok: workspace {answer.get('team', '?')} as bot {answer.get('user', '?')}{lacking}"

    async def _find_in(self, channel_id: str, key: str, since: float, thread_ts: str | None) -> str | None:
        """The `ts` of the message with this key in the channel or one thread; None where it is not there."""
        asked: dict[str, Any] = {
            "channel": channel_id,
            "oldest": f"{since - _CLOCK_SKEW:.6f}",
            "limit": 100,
            "include_all_metadata": True,
        }
        for _ in range(_HISTORY_PAGES):
            try:
                answer = await self._call(
                    self._web.conversations_history(**asked)
                    if thread_ts is None
                    else self._web.conversations_replies(ts=thread_ts, **asked)
                )
            except PermanentDeliveryError as error:
                if thread_ts is not None and error.code == "thread_not_found":
                    return None
                raise
            if not _may_read_metadata(answer):
                raise LookupFailed("missing_scope")
            for message in answer.get("messages") or ():
                if _key_of(message) == key:
                    return str(message["ts"])
            asked["cursor"] = _next_cursor(answer)
            if not asked["cursor"]:
                return None
        raise LookupFailed("too_many_messages")

    async def _channel_id(self, channel: str) -> str:
        name = channel.lstrip("#")
        if name not in self._channel_ids:
            if _CHANNEL_ID.match(name):
                return name
            if _PERSON_ID.match(name):
                await self._open(name)
            else:
                await self._list_channels(name)
        try:
            return self._channel_ids[name]
        except KeyError:
            raise LookupFailed("channel_not_found") from None

    async def _open(self, person: str) -> None:
        """Learn which channel a person's direct conversation with the bot is."""
        answer = await self._call(self._web.conversations_open(users=person))
        channel = answer.get("channel")
        if isinstance(channel, Mapping) and isinstance(channel.get("id"), str):
            self._remember(person, channel["id"])

    async def _list_channels(self, wanted: str) -> None:
        cursor = ""
        for _ in range(_LIST_PAGES):
            answer = await self._call(
                self._web.conversations_list(types="public_channel,private_channel", limit=200, cursor=cursor)
            )
            for channel in answer.get("channels") or ():
                if channel.get("name") == wanted:
                    self._remember(wanted, str(channel["id"]))
                    return
            cursor = _next_cursor(answer)
            if not cursor:
                return

    def _remember(self, channel: str, channel_id: str) -> None:
        self._channel_ids[channel.lstrip("#")] = channel_id
        while len(self._channel_ids) > MAX_CHANNEL_IDS:
            self._channel_ids.popitem(last=False)

    async def _shown(self, send: Callable[[Message], Awaitable[AsyncSlackResponse]], message: Message) -> Answer:
        """Send a message with what it encloses. Trouble with a picture costs the picture alone."""
        message = await self._attach(message)
        plainer = enclosures.without_pictures(message)
        for wait in _UNREADY_SECONDS if plainer is not None else ():
            try:
                return await self._call(send(fit(message)))
            except PermanentDeliveryError as error:
                if error.code not in _UNREADY:
                    raise
                await asyncio.sleep(wait)
        return await self._call(send(fit(plainer or message)))

    async def _call(self, request: Awaitable[AsyncSlackResponse]) -> Answer:
        """The answer to one request. Raises the three `DeliveryError`s, ambiguous wherever Slack may have acted on it."""
        try:
            async with asyncio.timeout(self._timeout):
                response = await request
        except SlackApiError as error:
            raise failure(error) from None
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
        ) as error:  # never connected, so never sent
            raise RetryableDeliveryError(type(error).__name__) from None
        except BELOW_SLACK as error:
            raise AmbiguousDeliveryError(type(error).__name__) from None
        except AttributeError:  # what slack_sdk 3.47 makes of HTTP 200 with a text/plain body: some proxy's page
            raise AmbiguousDeliveryError("not_json") from None
        return (
            {**response.data, "_scopes": _header(response, "x-oauth-scopes")} if isinstance(response.data, dict) else {}
        )


def _blocks(message: Message) -> list[Any]:
    return [dict(block) for block in message.blocks]


def _key_of(message: Answer) -> object:
    """The outbox key a message was posted with; None for everybody else's."""
    metadata = message.get("metadata") or {}
    return (metadata.get("event_payload") or {}).get("key") if metadata.get("event_type") == EVENT_TYPE else None


def _next_cursor(answer: Answer) -> str:
    metadata = answer.get("response_metadata")
    return str(metadata.get("next_cursor") or "") if isinstance(metadata, Mapping) else ""


def _may_read_metadata(answer: Answer) -> bool:
    """Slack leaves metadata out for a token without the scope, and then nothing would ever be found."""
    scopes = str(answer.get("_scopes") or "")
    return not scopes or METADATA_SCOPE in {scope.strip() for scope in scopes.split(",")}


def _header(response: Any, name: str) -> str:
    headers = getattr(response, "headers", None) or {}
    return next((str(value) for key, value in headers.items() if str(key).lower() == name), "")


def failure(error: SlackApiError) -> DeliveryError:
    """Slack's (or a proxy's) refusal, in our words. The response is slack_sdk's or, for a broken body, aiohttp's."""
    response = error.response
    status = int(getattr(response, "status_code", None) or getattr(response, "status", 0) or 0)
    data = getattr(response, "data", None)
    code = str(data.get("error") or "") if isinstance(data, dict) else ""
    if status == 429 or code in _LIMITED:
        return RetryableDeliveryError(code or "ratelimited", _seconds(_header(response, "retry-after")))
    if status >= 500 or (status < 300 and code in _DOUBTFUL):
        return AmbiguousDeliveryError(code or f"http_{status}")
    if code in _NOT_TAKEN or (not code and status != 413):
        return RetryableDeliveryError(code or f"http_{status}")  # some proxy's 4xx: Slack has not seen it
    return PermanentDeliveryError(code or f"http_{status}")


def _seconds(text: str) -> float | None:
    try:
        return min(3_600.0, max(0.0, float(text)))
    except ValueError:
        return None
