"""The alert doors: verify over the raw body, parse, store, and only then acknowledge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from aiohttp import web

from bot import metrics
from bot.errors import BadRequest, NotFound, Overloaded
from bot.incidents.path import AlertWorker
from bot.model import Delivery
from bot.storage.alert_store import AlertStore
from bot.telemetry.packing import unpack
from bot.web.auth import verify
from bot.web.body import read
from bot.web.problem import json_response

WEBHOOK_LIMIT = 8 * 1024 * 1024
MAX_WAITING = 20_000
_BIG = 256 * 1024
_KEPT_HEADERS = ("content-type", "user-agent", "x-webhook-id", "x-webhook-subscription")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AlertDoor:
    """One vendor's door. `repeat_seconds`: how long the same delivery key means that the sender repeats itself; None where only
    the delivery just before can be repeated."""

    source: str
    verify: Callable[[Mapping[str, str], bytes, tuple[str, ...]], None]
    parse: Callable[[bytes, Mapping[str, str], float], Delivery]
    secrets: tuple[str, ...]
    allow_unsigned: bool
    repeat_seconds: float | None


class Webhooks:
    """POST `/webhooks/{source}`. A refused request writes nothing."""

    def __init__(self, doors: Mapping[str, AlertDoor], store: AlertStore, worker: AlertWorker) -> None:
        self._doors = doors
        self._store = store
        self._worker = worker

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.post("/webhooks/{source}", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """202 with the delivery's number once it is stored, 200 where it is a repeat; 401, 400, 413 or 503 otherwise."""
        source = request.match_info["source"]
        door = self._doors.get(source)
        if door is None:
            raise NotFound(f"no alert source called {source[:40]!r}; there are {', '.join(sorted(self._doors))}")
        body = await read(request, WEBHOOK_LIMIT, urgent=True)
        try:
            verify(door, request, body)
            body = unpack(body, request.headers.get("Content-Encoding", ""), WEBHOOK_LIMIT)
            delivery = await self._parse(door, request, body)
        except BadRequest as error:
            metrics.DELIVERIES.labels(source, "refused").inc()
            log.warning("webhook refused", source=source, why=str(error), remote=request.remote)
            raise
        if self._worker.waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} deliveries wait to be worked", retry_after=10)
        headers = {name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers}
        number = await self._store.store_delivery(source, delivery.key, headers, body, time.time(), door.repeat_seconds)
        if number is None:
            metrics.DELIVERIES.labels(source, "repeated").inc()
            return json_response({"status": "repeated"})
        metrics.DELIVERIES.labels(source, "stored").inc()
        self._worker.wake()
        return json_response({"status": "stored", "delivery": number}, status=202)

    async def _parse(self, door: AlertDoor, request: web.Request, body: bytes) -> Delivery:
        if len(body) < _BIG:
            return door.parse(body, request.headers, time.time())
        return await asyncio.to_thread(door.parse, body, request.headers, time.time())
