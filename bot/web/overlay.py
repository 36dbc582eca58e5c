"""POST `/api/v1/overlay`: one trace in the body, laid over the map. Nothing of it is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from aiohttp import web

from bot.enrich.overlay import Calls, linked, overlay
from bot.enrich.view import MapView
from bot.model import EdgeKey
from bot.telemetry import trace_file
from bot.telemetry.packing import unpack
from bot.telemetry.spans import SpanBatch
from bot.web.auth import Gate
from bot.web.body import read
from bot.web.problem import json_response

BODY_LIMIT = 8 * 1024 * 1024


class Overlay:
    """One trace over the map."""

    def __init__(self, view: MapView, gate: Gate) -> None:
        self._view = view
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.post("/api/v1/overlay", self.overlay)]

    async def overlay(self, request: web.Request) -> web.Response:
        """OTLP JSON, Zipkin v2 JSON or Jaeger JSON; asking changes nothing, so the scope is `read`."""
        self._gate.check(request, "read")
        body = unpack(await read(request, BODY_LIMIT), request.headers.get("Content-Encoding", ""), BODY_LIMIT)
        now = time.time()
        batch, calls = await asyncio.to_thread(read_trace, body, now)
        return json_response(overlay(self._view, batch, calls, now))


def read_trace(body: bytes, now: float) -> tuple[SpanBatch, Mapping[EdgeKey, Calls]]:
    """The spans of a body and the calls among them. Takes as long as the trace is big: for a thread. Raises BadRequest."""
    batch = trace_file.decode(body, now)
    return batch, linked(batch)
