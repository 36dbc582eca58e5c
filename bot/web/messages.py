"""The messages page: the latest messages as Slack draws them, whether they went to Slack or only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from bot.errors import NotFound, PictureError
from bot.model import OutboxRow
from bot.slack.enclosures import enclosure
from bot.slack.files import Draw
from bot.slack.mrkdwn import code, escape
from bot.storage.outbox_store import OutboxStore
from bot.web.auth import Gate
from bot.web.block_html import PreviewMessage, page
from bot.web.map.reply import HEADERS, Door, packed
from bot.web.problem import problem

_SHOWN = 150


def first_steps(host: str, port: int) -> str:
    """What to do before there is anything to see."""
    return (
        "No message yet. Point an OpenTelemetry exporter at "
        f"`http://{host}:{port}/v1/traces` and an Alertmanager webhook at `http://{host}:{port}/webhooks/alertmanager`, "
        "or see the whole thing at once with `make demo`."
    )


class Messages:
    """GET `/messages`, and `/preview`, where they used to be."""

    def __init__(self, outbox: OutboxStore, gate: Gate, note: str, draw: Draw) -> None:
        self._outbox = outbox
        self._draw = draw
        self._door = Door(gate)
        self._note = note

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.get("/messages", self._door.opens(self.messages, "messages")),
            web.get("/messages/enclosed", self._door.opens(self.enclosed, "messages")),
            web.get("/preview", self.preview),
        ]

    async def preview(self, _request: web.Request) -> web.Response:
        """Bookmarks go on working."""
        raise web.HTTPFound("/messages")

    async def messages(self, request: web.Request) -> web.Response:
        """The latest messages, those that wait or failed among them."""
        rows = await self._outbox.latest(_SHOWN)
        replies: dict[str, list[PreviewMessage]] = {}
        for row in reversed(rows):
            if row.parent_key is not None:
                replies.setdefault(row.parent_key, []).append(_preview(row))
        text = page(
            [_preview(row, replies.get(row.key, ())) for row in reversed(rows) if row.parent_key is None],
            bot_name="topology-bot",
            note=self._note,
        )
        return packed(request, text.encode())

    async def enclosed(self, request: web.Request) -> web.Response:
        """What the message with the key `key` encloses: a picture as PNG, a file as text."""
        row = await self._outbox.one(request.query.get("key", ""))
        found = (
            [one for block in row.message.blocks if (one := enclosure(block)) is not None] if row is not None else []
        )
        if not found:
            raise NotFound("no message with this key encloses anything")
        if not found[0].dot:
            return web.Response(text=found[0].content, content_type="text/plain", headers=HEADERS)
        try:
            body = await self._draw(found[0].dot)
        except PictureError as error:
            return problem(503, error.slug, str(error), reason=error.reason)
        return web.Response(body=body, content_type="image/png", headers=HEADERS)


def _shown(block: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A block as the page can draw it: what Slack would have been given to keep is fetched from here."""
    one = enclosure(block)
    if one is None:
        return block
    url = f"/messages/enclosed?{urlencode({'key': key})}"
    if one.dot:
        title = {"type": "plain_text", "text": one.title}
        return {"type": "image", "image_url": url, "alt_text": one.alt, "title": title}
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": f"📎 {escape(one.title)}: {code(url)}"}]}


def _preview(row: OutboxRow, replies: Sequence[PreviewMessage] = ()) -> PreviewMessage:
    return PreviewMessage(
        channel=row.channel,
        ts=row.ts or f"{row.created_at:.6f}",
        text=row.message.text,
        blocks=[_shown(block, row.key) for block in row.message.blocks],
        edited=row.revision > 1,
        replies=tuple(replies),
        state={"sent": "sent", "failed": "failed"}.get(row.state, "waiting"),
    )
