"""POST `/ingest/changes`: change events, stored before they are answered. The same body again is the same changes."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from bot.changes import records
from bot.changes.log import ChangeLog
from bot.intake import Intake
from bot.storage.change_store import ChangeStore
from bot.telemetry.packing import unpack
from bot.web.auth import Gate
from bot.web.body import read
from bot.web.problem import json_response

SOURCE = "changes"
BODY_LIMIT = 4 * 1024 * 1024


class ChangeDoors:
    """The door of change events."""

    def __init__(self, store: ChangeStore, log: ChangeLog, intake: Intake, gate: Gate) -> None:
        self._store = store
        self._log = log
        self._intake = intake
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.post("/ingest/changes", self.changes)]

    async def changes(self, request: web.Request) -> web.Response:
        """Change events as NDJSON. Answers 202 with `{"accepted","rejected","ignored","errors":[{"line","why"}…]}`."""
        self._gate.check(request, "ingest")
        body = await read(request, BODY_LIMIT)
        encoding, now = request.headers.get("Content-Encoding", ""), time.time()
        batch = await asyncio.to_thread(lambda: records.decode(unpack(body, encoding, BODY_LIMIT), now))
        if batch.changes:
            await self._store.add(batch.changes)
            self._log.add(batch.changes)
        self._intake.count(SOURCE, batch.accepted, batch.rejected)
        answer = {"accepted": batch.accepted, "rejected": batch.rejected, "ignored": {}, "errors": batch.errors}
        return json_response(answer, 202)
