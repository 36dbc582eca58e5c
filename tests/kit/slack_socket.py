"""The fake Slack's end of Socket Mode: addresses that are good once, envelopes out, acknowledgements in.

docs.slack.dev/apis/events-api/using-socket-mode; each envelope goes to one of the connections.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

APP_TOKEN = "xapp-fake"


class Sockets:
    """All connections of one app."""

    def __init__(self) -> None:
        self.open: list[web.WebSocketResponse] = []
        self.opened = 0
        self.greets = True
        self._tickets: set[str] = set()
        self._count = 0
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def address(self, url: str) -> str:
        """A fresh address below `url` (http://…/api/)."""
        self._count += 1
        self._tickets.add(str(self._count))
        return url.replace("http://", "ws://").replace("/api/", f"/link/?ticket={self._count}")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, for as long as it lasts."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=408)
        self._tickets.remove(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.opened += 1
        if self.greets:
            await socket.send_json({"type": "hello", "num_connections": len(self.open) + 1})
        self.open.append(socket)
        try:
            async for message in socket:
                acknowledged = json.loads(message.data)
                waiting = self._waiting.get(acknowledged.get("envelope_id"))
                if waiting is not None and not waiting.done():
                    waiting.set_result(acknowledged)
        finally:
            self.open.remove(socket)
        return socket

    async def send(
        self, kind: str, payload: Mapping[str, Any], *, retry: int = 0, answers: bool = True, seconds: float = 3.0
    ) -> dict[str, Any]:
        """Send an envelope over the newest connection; the acknowledgement. Raises TimeoutError where Slack would give up."""
        self._count += 1
        name = f"envelope-{self._count}"
        self._waiting[name] = asyncio.get_running_loop().create_future()
        envelope = {"envelope_id": name, "type": kind, "payload": payload, "accepts_response_payload": answers}
        if kind == "events_api":
            envelope |= {"retry_attempt": retry, "retry_reason": "timeout" if retry else ""}
        await self.open[-1].send_json(envelope)
        try:
            return await asyncio.wait_for(self._waiting[name], seconds)
        finally:
            del self._waiting[name]

    async def say(self, text: str) -> None:
        """Send any text over the newest connection."""
        await self.open[-1].send_str(text)

    async def disconnect(self, reason: str) -> web.WebSocketResponse:
        """Ask for another connection; the one that is to be left, which stays open."""
        socket = self.open[-1]
        await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {}})
        return socket

    async def close(self) -> None:
        """End all connections."""
        for socket in list(self.open):
            await socket.close()
