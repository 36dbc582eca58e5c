"""Shows in Slack what a pasted link to a page leads to: `link_shared` in, `chat.unfurl` out.

docs.slack.dev/messaging/unfurling-links-in-messages, scopes `links:read` and `links:write`. The text is what the same question answers
when it is typed, the picture is drawn by the page's own parameters: page, command and unfurl never disagree. What is not answered
(another program's link, a service nobody knows) stays a bare link, and is counted. Nothing is kept but the ids of events.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from bot import metrics
from bot.errors import BadRequest, DeliveryError, NotFound
from bot.model import Message
from bot.picture.focus import Focus
from bot.slack import enclosed_views, pasted
from bot.slack.client import SlackSink
from bot.slack.desk import Desk
from bot.slack.once import Once
from bot.slack.pasted import Pasted
from bot.slack.sharing_view import standing
from bot.storage.outbox_store import PICTURE_KEY, ROOT_KEY, OutboxStore

MAX_LINKS = 5
"""Of one message; Slack shows no more than a few."""

_AT_A_TIME = 4

log = structlog.get_logger(__name__)


class Drawn(Protocol):
    """Reads what a page draws."""

    async def pictured(self, given: Mapping[str, str]) -> Focus:
        """What the page `/map` with these parameters draws. Raises BadRequest and NotFound."""
        ...


class Unfurls:
    """One per program. `public` is the address under which people open the pages; "" where nobody said it, and then no link is ours."""

    def __init__(self, public: str, desk: Desk, drawn: Drawn, outbox: OutboxStore, sink: SlackSink) -> None:
        self._public = public
        self._desk = desk
        self._drawn = drawn
        self._outbox = outbox
        self._sink = sink
        self._once = Once()
        self._working = 0

    async def heard(self, body: dict[str, Any]) -> None:
        """A `link_shared` in the Events API's envelope."""
        event: dict[str, Any] = body["event"] if isinstance(body.get("event"), dict) else {}
        place, links = _place(event), event.get("links")
        if place is None or not isinstance(links, list):
            return
        if not self._once.first(str(body.get("event_id") or place), time.time()):
            metrics.UNFURLS.labels("sent again").inc()
            return
        if self._working >= _AT_A_TIME:
            metrics.UNFURLS.labels("busy").inc()
            return
        self._working += 1
        try:
            urls = [str(one.get("url", "")) for one in links if isinstance(one, dict)]
            for url in list(dict.fromkeys(urls))[:MAX_LINKS]:
                metrics.UNFURLS.labels(await self._unfurled(url, place)).inc()
        finally:
            self._working -= 1

    async def _unfurled(self, url: str, place: Mapping[str, str]) -> str:
        """What became of one link."""
        found = pasted.read(url, self._public) if self._public else None
        if found is None:
            return "not shown"
        message = await (self._incident(found.incident) if found.incident else self._answer(found))
        if message is None:
            return "unknown"
        try:
            await self._sink.unfurl(place, url, message)
        except DeliveryError as error:
            log.warning("a pasted link could not be shown", why=str(error))
            return "failed"
        return "shown"

    async def _incident(self, number: int) -> Message | None:
        """An incident's message as it stands, with the picture in its thread."""
        root = await self._outbox.one(ROOT_KEY.format(incident=number))
        if root is None:
            return None
        picture = await self._outbox.one(PICTURE_KEY.format(incident=number))
        enclosed = picture.message.blocks if picture is not None else ()
        shown = standing(root.message)
        return Message(shown.text, (*shown.blocks, *enclosed))

    async def _answer(self, found: Pasted) -> Message | None:
        """What the page's question answers, for anybody: times are read in UTC, as on the page."""
        try:  # first, since a misspelt name has an answer in Slack and no page
            picture = enclosed_views.picture(await self._drawn.pictured(found.drawn)).blocks if found.drawn else ()
        except (BadRequest, NotFound):
            return None
        reply = await self._desk.answer(found.question, time.time(), deeper=False, share=False)
        shown = standing(reply.message)
        return Message(shown.text, (*shown.blocks, *picture)) if reply.question else None


def _place(event: Mapping[str, Any]) -> dict[str, str] | None:
    """Where to show it: `unfurl_id` and `source`, which also name a message that is still being written; else the message."""
    for one, other, as_ in (("unfurl_id", "source", "source"), ("channel", "message_ts", "ts")):
        first, second = event.get(one), event.get(other)
        if isinstance(first, str) and isinstance(second, str) and first and second:
            return {one: first, as_: second}
    return None
