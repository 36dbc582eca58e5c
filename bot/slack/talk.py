"""Mentions and direct messages: an event in, an answer posted in its thread out.

Each event is answered once, however often Slack sends it. What bots write, edits and joins are no questions. An answer may be
lost: whoever asked is there to ask again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from bot import metrics
from bot.errors import DeliveryError
from bot.sinks import Sink
from bot.slack.asker import Asker
from bot.slack.desk import Reply
from bot.slack.once import Once

_MENTION = re.compile(r"<@[A-Z0-9]+(?:\|[^>]*)?>")
_LINK = re.compile(r"<(?:https?://|mailto:|#)?[^<>|]*\|([^<>]*)>|<(?:https?://|mailto:)([^<>|]*)>")

log = structlog.get_logger(__name__)

Ask = Callable[[str, Asker], Awaitable[Reply]]
"""(text, who asks and where) -> an answer that everybody may see."""


class Talk:
    """Hears events; keeps nothing but their ids."""

    def __init__(self, ask: Ask, sink: Sink) -> None:
        self._ask = ask
        self._sink = sink
        self._once = Once()

    async def heard(self, body: dict[str, Any]) -> None:
        """An `app_mention`, or a `message` in a direct conversation, in the Events API's envelope."""
        event: dict[str, Any] = body["event"] if isinstance(body.get("event"), dict) else {}
        why = _passed_over(event)
        if not why and not self._once.first(str(body.get("event_id") or event["ts"]), time.time()):
            why = "sent again"
        if why:
            metrics.COMMANDS.labels(f"passed over: {why}").inc()
            return
        text = question(str(event["text"])[:8_000])
        reply = await self._ask(text, Asker(str(event["user"]), channel=str(event["channel"])))
        # In a direct conversation nobody else reads along, so a thread would only hide the answer.
        thread = event.get("thread_ts") or (None if event.get("channel_type") == "im" else event["ts"])
        try:
            await self._sink.post(
                key=f"answer:{body.get('event_id')}",
                channel=str(event["channel"]),
                message=reply.message,
                thread_ts=thread,
            )
        except DeliveryError as error:
            metrics.COMMANDS.labels("not delivered").inc()
            log.warning("an answer could not be posted", why=str(error), what=reply.what)


def question(text: str) -> str:
    """What a message asks: without the mention and what stands before it, links as they were typed, entities undone."""
    before, mention, after = (text, "", "") if (found := _MENTION.search(text)) is None else (
        text[: found.start()], found[0], text[found.end() :],
    )  # fmt: skip
    asked = after if mention and after.strip() else before
    asked = _LINK.sub(lambda link: link[1] or link[2], asked)
    return asked.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip().strip(":,").strip()


def _passed_over(event: dict[str, Any]) -> str:
    """Why an event is no question to the bot; "" where it is one."""
    if event.get("bot_id") or event.get("app_id") or not event.get("user"):
        return "written by a bot"
    if event.get("subtype") not in (None, "file_share", "thread_broadcast"):
        return "not a new message"
    if event.get("type") == "message" and event.get("channel_type") != "im":
        return "not to the bot"  # a mention in a channel comes as an `app_mention`, too
    if not all(isinstance(event.get(name), str) for name in ("text", "ts", "channel")):
        return "no text"
    return ""
