"""GET `/api/v1/stream`: the live feed as server-sent events (html.spec.whatwg.org, "Server-sent events")."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from typing import Any

import msgspec
from aiohttp import web

from bot.enrich import answers
from bot.enrich.view import MapView
from bot.errors import Overloaded
from bot.live_feed import Event, LiveFeed
from bot.moments import iso
from bot.web import openapi, parameters
from bot.web.auth import Gate

HEARTBEAT_SECONDS = 15.0
_WRITE_SECONDS = 10.0
_RENDERED = 8  # events kept as they are sent, a megabyte each at the most
_SLICE = 100


class Stream:
    """Tells of edges (as the API shows them) and incidents as they change."""

    def __init__(self, feed: LiveFeed, view: MapView, gate: Gate) -> None:
        self._feed = feed
        self._view = view
        self._gate = gate
        self._rendering = asyncio.Lock()
        self._rendered: OrderedDict[tuple[int, str], bytes] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.get("/api/v1/stream", self.stream)]

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Events until the reader leaves or falls behind. `Last-Event-ID` takes up where an earlier stream broke off."""
        self._gate.check(request, "read")
        parameters.check(request.query, openapi.allowed("stream"))
        brief = parameters.flag(request.query, "brief")
        last = request.headers.get("Last-Event-ID", "")
        listener = self._feed.join(int(last) if last.isascii() and last.isdigit() and len(last) < 16 else None)
        if listener is None:
            raise Overloaded("too many streams are open", 30)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        try:
            await response.prepare(request)
            hello = {
                "as_of": iso(time.time()),
                "services": self._view.graph.service_count,
                "edges": self._view.graph.edge_count,
            }
            await self._write(response, _lines("hello", hello, self._feed.number))
            while not listener.behind:
                try:
                    event = await asyncio.wait_for(listener.queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    await self._write(response, b": still here\n\n")
                else:
                    if not listener.behind:
                        await self._write(response, await self._shown(event, brief))
        except (ConnectionError, TimeoutError):
            pass  # the reader left, or reads nothing
        finally:
            self._feed.leave(listener)
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response

    @staticmethod
    async def _write(response: web.StreamResponse, text: bytes) -> None:
        await asyncio.wait_for(response.write(text), _WRITE_SECONDS)

    async def _shown(self, event: Event, brief: bool) -> bytes:
        """The event as it is sent: made once for all who listen, and a few edges at a time, for an alert may be waiting. Whoever
        wants it brief is told how many edges there are, and asks for what he shows."""
        if brief and event.what == "edges":
            counted = {name: len(event.data[name]) for name in ("seen", "gone")} | {"more": event.data["more"]}
            return _lines(event.what, counted, event.number)
        async with self._rendering:
            known = self._rendered.get((event.number, event.what))
            if known is None:
                known = self._rendered[event.number, event.what] = await self._made(event)
                while len(self._rendered) > _RENDERED:
                    self._rendered.popitem(last=False)
            return known

    async def _made(self, event: Event) -> bytes:
        data: dict[str, Any] = dict(event.data)
        if event.what == "edges":
            now, graph = time.time(), self._view.graph
            seen = []
            for count, (caller, callee) in enumerate(data["seen"], start=1):
                if caller in graph and callee in graph.callees(caller):
                    seen.append(answers.edge(self._view, caller, callee, now))
                if count % _SLICE == 0:
                    await asyncio.sleep(0)
            data["seen"] = seen
            data["gone"] = [{"caller": caller, "callee": callee} for caller, callee in data["gone"]]
        return _lines(event.what, data, event.number)


def _lines(what: str, data: Any, number: int) -> bytes:
    return b"event: %s\nid: %d\ndata: %s\n\n" % (what.encode(), number, msgspec.json.encode(data))
