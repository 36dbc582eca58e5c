"""The pages people open: the message preview, and what belongs to it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from bot.model import OutboxRow
from bot.storage.outbox_store import OutboxStore
from bot.web.auth import Gate
from bot.web.block_html import PreviewMessage, page

_STATIC = Path(__file__).parent / "static"
_SHOWN = 150
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def first_steps(host: str, port: int) -> str:
    """What the preview says before there is a message."""
    return (
        "No message yet. Point an OpenTelemetry exporter at "
        f"`http://{host}:{port}/v1/traces` and an Alertmanager webhook at `http://{host}:{port}/webhooks/alertmanager`, "
        "or see the whole thing at once with `make demo`."
    )


class Pages:
    """GET `/` (to the preview), `/preview`, `/static/…`."""

    def __init__(self, outbox: OutboxStore, gate: Gate, note: str) -> None:
        self._outbox = outbox
        self._gate = gate
        self._note = note

    def routes(self) -> list[web.AbstractRouteDef]:
        """This room's part of the route table."""
        return [web.get("/", self.home), web.get("/preview", self.preview), web.static("/static", _STATIC)]

    async def home(self, _request: web.Request) -> web.Response:
        """The preview is the only page so far."""
        raise web.HTTPFound("/preview")

    async def preview(self, request: web.Request) -> web.Response:
        """The latest messages as Slack draws them, whether they went to Slack or only here."""
        self._gate.check(request, "read")
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
        tag = f'"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=_HEADERS | {"ETag": tag})
        return web.Response(text=text, content_type="text/html", headers=_HEADERS | {"ETag": tag})


def _preview(row: OutboxRow, replies: Sequence[PreviewMessage] = ()) -> PreviewMessage:
    return PreviewMessage(
        channel=row.channel,
        ts=row.ts or f"{row.created_at:.6f}",
        text=row.message.text,
        blocks=row.message.blocks,
        edited=row.revision > 1,
        replies=tuple(replies),
        state={"sent": "sent", "failed": "failed"}.get(row.state, "waiting"),
    )
