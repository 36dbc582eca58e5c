"""The doors of change events: our own format, and what deploy tools send by themselves. Stored, and only then acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web

from bot import metrics
from bot.change_intake import ChangeIntake
from bot.changes import argocd, flux, github, gitlab, pagerduty, records
from bot.changes.report import Report
from bot.errors import BadRequest, NotFound
from bot.telemetry.packing import unpack
from bot.web.auth import Gate, verify
from bot.web.body import read
from bot.web.problem import json_response

CHANGES_LIMIT = 4 * 1024 * 1024
_SMALL = 16 * 1024
"""What is read at once; more goes to a thread, since it would hold the event loop."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChangeDoor:
    """One vendor's door. `verify` and `parse` are those of its module in `bot.changes`."""

    source: str
    verify: Callable[[Mapping[str, str], bytes, tuple[str, ...]], None]
    parse: Callable[[bytes, Mapping[str, str], float], Report]
    secrets: tuple[str, ...]
    allow_unsigned: bool


def change_doors(secrets: Callable[[str], tuple[str, ...]], unsigned: Collection[str]) -> Mapping[str, ChangeDoor]:
    """All doors by source. `secrets` gives those of one; `unsigned` names doors as `changes/SOURCE`."""
    return {
        module.SOURCE: ChangeDoor(
            module.SOURCE, module.verify, module.parse, secrets(module.SOURCE), f"changes/{module.SOURCE}" in unsigned
        )
        for module in (argocd, flux, github, gitlab, pagerduty)
    }


class ChangeDoors:
    """POST `/ingest/changes` and `/webhooks/changes/{source}`. A refused request writes nothing."""

    def __init__(self, intake: ChangeIntake, gate: Gate, doors: Mapping[str, ChangeDoor]) -> None:
        self._intake = intake
        self._gate = gate
        self._doors = doors

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.post("/ingest/changes", self.ingest),
            web.post("/webhooks/changes/{source}", self.receive),
        ]

    async def ingest(self, request: web.Request) -> web.Response:
        """Changes as NDJSON: 202 once all that could be used are stored. The same change again is taken and changes nothing."""
        self._gate.check(request, "ingest")
        body = await read(request, CHANGES_LIMIT)
        now = time.time()
        encoding = request.headers.get("Content-Encoding", "")
        decode = partial(_decode, encoding, now, self._intake.oldest(now))
        # What is packed may be a thousand times what it looks like.
        batch = decode(body) if len(body) < _SMALL and not encoding else await asyncio.to_thread(decode, body)
        new = await self._intake.take(records.SOURCE, batch.changes, now)
        metrics.CHANGES.labels(records.SOURCE, "refused").inc(batch.rejected)
        repeated = len(batch.changes) - new
        return json_response(
            {
                "accepted": len(batch.changes),
                "rejected": batch.rejected,
                "ignored": {"repeated": repeated} if repeated else {},
                "errors": batch.errors,
            },
            202,
        )

    async def receive(self, request: web.Request) -> web.Response:
        """202 once the changes are stored, 200 where they were known or the event says nothing of a change; 401, 400, 413 or
        503 otherwise."""
        source = request.match_info["source"]
        door = self._doors.get(source)
        if door is None:
            raise NotFound(f"no source of changes called {source[:40]!r}; there are {', '.join(sorted(self._doors))}")
        body = await read(request, CHANGES_LIMIT)
        try:
            verify(door, request, body, "changes from ")
            body = unpack(body, request.headers.get("Content-Encoding", ""), CHANGES_LIMIT)
            now = time.time()
            parse = partial(door.parse, body, request.headers, now)
            report = parse() if len(body) < _SMALL else await asyncio.to_thread(parse)
        except BadRequest as error:
            metrics.CHANGES.labels(source, "refused").inc()
            log.warning("change refused", source=source, why=str(error), remote=request.remote)
            raise
        if not report.changes:
            metrics.CHANGES.labels(source, "ignored").inc()
            return json_response({"status": "ignored", "why": report.ignored})
        if await self._intake.take(source, report.changes, now):
            return json_response({"status": "stored", "changes": len(report.changes)}, 202)
        return json_response({"status": "repeated"})


def _decode(encoding: str, now: float, oldest: float, body: bytes) -> records.ChangeBatch:
    return records.decode(unpack(body, encoding, CHANGES_LIMIT), now, oldest)
