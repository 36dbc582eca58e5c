"""A web server that takes whatever it is sent and remembers it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came; `body` unpacked."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class Sink:
    """What came so far, oldest first. `status` is what the next request is answered with."""

    url: str = ""
    status: int = 200
    received: list[Request] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Remember one request and answer it."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Request(request.path, headers, body))
        self._news.set()
        return web.Response(status=self.status)

    async def until(self, enough: Callable[[list[Request]], bool], seconds: float = 20.0) -> list[Request]:
        """Wait until what came is enough. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not enough(self.received):
                self._news.clear()
                await self._news.wait()
        return self.received


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """A sink on a free port of loopback."""
    made = Sink()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.take)
    runner = web.AppRunner(application, access_log=None, auto_decompress=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    finally:
        await runner.cleanup()
