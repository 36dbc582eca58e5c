"""GET and POST `/trace`: one trace over the map, from a file or pasted text.

Comes in: what `/api/v1/overlay` takes, as a form. Goes out: a page of the same answer. Nothing of the trace is kept, so there is no address
to pass on; and of a trace's mere id the bot knows nothing, which the page says.
"""

from __future__ import annotations

import asyncio
import re
import time

from aiohttp import BodyPartReader, web

from bot.enrich.overlay import overlay
from bot.errors import BadRequest, TooLarge
from bot.page.trace import trace
from bot.web.map.drawing import sketched
from bot.web.map.reply import Door, page
from bot.web.map.sources import Sources
from bot.web.overlay import BODY_LIMIT, read_trace

_ID = re.compile(r"^[0-9a-fA-F-]{16,36}$")
_ASKED_FOR_ID = (
    "The bot keeps no traces, so it cannot find one by its id. Download the trace where you found the id "
    "(Jaeger: Trace JSON; Tempo: /api/traces/ID; Zipkin: Download JSON) and drop the file here."
)
_NOTHING = {"shown": False, "notice": "", "rows": ()}


class TracePage:
    """The routes."""

    def __init__(self, sources: Sources, door: Door) -> None:
        self._sources = sources
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.get("/trace", self._door.opens(self.ask, "trace")),
            web.post("/trace", self._door.opens(self.show, "trace")),
        ]

    async def ask(self, request: web.Request) -> web.Response:
        """Where to put it."""
        return page(request, "trace", "trace.html.j2", _NOTHING)

    async def show(self, request: web.Request) -> web.Response:
        """The trace over the map."""
        body = (await _given(request)).strip()
        if not body:
            return page(request, "trace", "trace.html.j2", _NOTHING | {"notice": "Choose a file, or paste a trace."})
        if len(body) < 40 and _ID.match(body.decode(errors="replace")):
            return page(request, "trace", "trace.html.j2", _NOTHING | {"notice": _ASKED_FOR_ID})
        now = time.time()
        try:
            batch, calls = await asyncio.to_thread(read_trace, body, now)
        except BadRequest as error:
            notice = f"That is no trace the bot can read: {error}"
            return page(request, "trace", "trace.html.j2", _NOTHING | {"notice": notice}, 400)
        sketch, values = trace(overlay(self._sources.view, batch, calls, now))
        figure = await sketched(self._sources.painter, sketch, "The trace's calls")
        return page(request, "trace", "trace.html.j2", _NOTHING | values | figure)


async def _given(request: web.Request) -> bytes:
    """The file, or the text where no file was chosen. Raises TooLarge, BadRequest."""
    if request.content_type != "multipart/form-data":
        raise BadRequest("the form was not sent as a form")
    text = b""
    size = 0
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader):
            raise BadRequest("the form was not sent as a form")
        read = bytearray()
        while piece := await part.read_chunk():
            size += len(piece)
            if size > BODY_LIMIT:
                raise TooLarge(f"the trace is larger than {BODY_LIMIT} bytes")
            read += piece
        if part.name == "file" and read:
            return bytes(read)
        text = bytes(read) if part.name == "text" else text
    return text
