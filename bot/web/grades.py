"""How right the bot was: GET `/api/v1/accuracy`; and who says so: POST `/api/v1/incidents/{id}/cause`."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from aiohttp import web

from bot.enrich.view import MapView
from bot.errors import BadRequest, NotFound
from bot.grading.accuracy import NONE_OF_THEM, Graded, accuracy
from bot.moments import iso
from bot.names import MAX_ID
from bot.storage.grade_store import GradeStore
from bot.telemetry.packing import unpack
from bot.web import openapi, parameters
from bot.web.auth import Gate
from bot.web.body import read
from bot.web.problem import json_response

_BODY_LIMIT = 16 * 1024
_WEEK = 7 * 86_400.0
DEFAULT_WEEKS = 12


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    service: str
    by: str = ""


async def accuracy_since(store: GradeStore, weeks: int, now: float) -> dict[str, Any]:
    """The answer of `/api/v1/accuracy` and of `doctor --accuracy`."""
    graded = [Graded(*row) for row in await store.since(now - weeks * _WEEK)]
    return accuracy(graded) | {"from": iso(now - weeks * _WEEK), "as_of": iso(now)}


class Grades:
    """What was said of incidents against what became of them."""

    def __init__(self, store: GradeStore, view: MapView, gate: Gate) -> None:
        self._store = store
        self._view = view
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.get("/api/v1/accuracy", self.accuracy), web.post("/api/v1/incidents/{id}/cause", self.confirm)]

    async def accuracy(self, request: web.Request) -> web.Response:
        """Hit rates and calibration of the last weeks."""
        self._gate.check(request, "read")
        parameters.check(request.query, openapi.allowed("accuracy"))
        weeks = parameters.whole(request.query, "weeks", DEFAULT_WEEKS)
        return json_response(await accuracy_since(self._store, weeks, time.time()))

    async def confirm(self, request: web.Request) -> web.Response:
        """`{"service": "payments-db", "by": "ada"}`: who was at fault; `"service": ""` where it was none of those named."""
        self._gate.check(request, "ingest")
        body = unpack(await read(request, _BODY_LIMIT), request.headers.get("Content-Encoding", ""), _BODY_LIMIT)
        try:
            said = msgspec.json.decode(body, type=_Said)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f'want {{"service": …, "by": …}}: {error}') from None
        if len(said.service) > MAX_ID or len(said.by) > MAX_ID:
            raise BadRequest(f"service and by: at most {MAX_ID} characters")
        text = request.match_info["id"]
        cause = await confirm(self._store, self._view, text, said.service, said.by)
        return json_response({"incident": parameters.row_number(text), "cause": cause})


async def confirm(store: GradeStore, view: MapView, incident: str, service: str, by: str) -> str:
    """Note who was at fault; gives the service's id, or `none`. Raises NotFound where no such incident is over."""
    cause = view.graph.names.find(service) or service.strip().lower()[:MAX_ID] or NONE_OF_THEM
    number = parameters.row_number(incident)
    if not number or not await store.confirm(number, cause, by, time.time()):
        raise NotFound(f"no incident {incident[:20]!r} that is over")
    return cause
