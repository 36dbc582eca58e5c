"""A strict PagerDuty: its REST API v2 over HTTP, with the refusals that the real one has.

It wants the token, `From` with a user it knows where orders are given, known ids and bodies of the documented shape.
`trouble` holds what goes wrong next, in order: a status to answer, `drop` (the connection breaks before the order is
taken), `lost` (the order is taken, the answer is not), `hang` (no answer within the caller's patience), `bare 429`. `outage` is
trouble that goes on until `recover`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.kit.fake_service_graph import FakeServiceGraph

TOKEN = "pagerduty-key-for-tests"
REQUESTER = "bot@example.org"
MAX_NOTES = 2_000
MAX_NOTE = 25_000


@dataclass(slots=True)
class Incident:
    """One incident: its state, notes, alerts and custom fields."""

    status: str = "triggered"
    notes: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class FakePagerDuty:
    """The account. `asked` holds every request as (method, path), `asked_at` when it came (steady clock, s)."""

    url: str = ""
    incidents: dict[str, Incident] = field(default_factory=dict)
    custom_fields: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    trouble: list[str | int] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    users: set[str] = field(default_factory=lambda: {REQUESTER})
    given: list[tuple[str, str]] = field(default_factory=list)
    """Orders that were carried out, as (whose, what became of the incident)."""
    outage: str | int = ""
    names: dict[str, str] = field(default_factory=dict)
    """Services' names, where they are not their ids."""
    left: int = 900
    """Requests that the account has left, as its headers say."""
    _numbers: int = 0
    _recovered: asyncio.Event = field(default_factory=asyncio.Event)

    graph: FakeServiceGraph = field(init=False)
    """The service graph, with trouble of its own."""

    def __post_init__(self) -> None:
        self.graph = FakeServiceGraph(self.services)

    def routes(self) -> list[web.RouteDef]:
        """What of the API is served."""
        return [
            web.get("/services", self.list_services),
            web.get("/oncalls", self.list_on_call),
            web.get("/incidents/{id}/notes", self.list_notes),
            web.post("/incidents/{id}/notes", self.add_note),
            web.put("/incidents/{id}/notes/{note}", self.edit_note),
            web.get("/incidents/{id}/alerts", self.list_alerts),
            web.get("/incidents/{id}/related_change_events", self.list_changes),
            web.put("/incidents/{id}", self.change),
            web.put("/incidents/{id}/custom_fields/values", self.set_fields),
            *self.graph.routes(),
        ]

    def recover(self) -> None:
        """End the outage; what hangs in it is let go of without an answer."""
        self.outage = ""
        self._recovered.set()

    @web.middleware
    async def strict(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Authentication, trouble, and `From` where it must be."""
        self.asked.append((request.method, request.path))
        self.asked_at.append(time.monotonic())
        if request.headers.get("Authorization") != f"Token token={TOKEN}":
            return _error(401, 2006, "You are not authorized")
        if "version=2" not in request.headers.get("Accept", ""):
            return _error(406, 2000, "Not acceptable")
        wrong = self.trouble.pop(0) if self.trouble else self.outage
        if wrong == "hang":
            with suppress(TimeoutError):
                await asyncio.wait_for(self._recovered.wait(), 30)
            wrong = "drop"
        if wrong == "bare 429":
            return web.Response(status=429)
        if wrong == 429:
            limits = {"ratelimit-limit": "960", "ratelimit-remaining": "0", "ratelimit-reset": "1"}
            return web.json_response({"error": {"code": 2020, "message": "Too many"}}, status=429, headers=limits)
        if isinstance(wrong, int):
            return _error(wrong, 2000, "Trouble")
        if wrong == "drop":
            _break(request)
            return web.Response()
        signed = request.method in ("PUT", "POST") and not request.path.endswith(("/values", "associate"))
        if signed and request.headers.get("From") not in self.users:
            return _error(400, 1008, "Requester User Not Found")
        answer: web.StreamResponse = await handler(request)
        if wrong == "lost":
            _break(request)
        answer.headers.update({"ratelimit-limit": "960", "ratelimit-remaining": str(self.left), "ratelimit-reset": "1"})
        return answer

    async def list_services(self, request: web.Request) -> web.Response:
        """GET /services."""
        listed = [{"id": one, "name": self.names.get(one, one), "type": "service"} for one in sorted(self.services)]
        return _page(request, "services", listed)

    async def list_on_call(self, request: web.Request) -> web.Response:
        """GET /oncalls: nobody."""
        return _page(request, "oncalls", [])

    async def list_notes(self, request: web.Request) -> web.Response:
        """GET /incidents/{id}/notes: all of them, newest first."""
        return web.json_response({"notes": self._incident(request).notes[::-1]})

    async def add_note(self, request: web.Request) -> web.Response:
        """POST /incidents/{id}/notes."""
        incident = self._incident(request)
        if len(incident.notes) >= MAX_NOTES:
            return _error(400, 2001, "Invalid Input Provided")
        note = {"id": self._number("N"), "content": _content(await request.json()),
                "created_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}  # fmt: skip
        incident.notes.append(note)
        return web.json_response({"note": note}, status=200)

    async def edit_note(self, request: web.Request) -> web.Response:
        """PUT /incidents/{id}/notes/{note}."""
        for note in self._incident(request).notes:
            if note["id"] == request.match_info["note"]:
                note["content"] = _content(await request.json())
                return web.json_response({"note": note})
        return _error(404, 2100, "Not Found")

    async def list_alerts(self, request: web.Request) -> web.Response:
        """GET /incidents/{id}/alerts, by pages."""
        return _page(request, "alerts", self._incident(request).alerts)

    async def list_changes(self, request: web.Request) -> web.Response:
        """GET /incidents/{id}/related_change_events."""
        return web.json_response({"change_events": self._incident(request).changes})

    async def change(self, request: web.Request) -> web.Response:
        """PUT /incidents/{id}."""
        incident, wanted = self._incident(request), (await request.json())["incident"]
        if wanted.get("type") != "incident_reference" or wanted["status"] not in ("acknowledged", "resolved"):
            return _error(400, 2001, "Invalid Input Provided")
        if incident.status == "resolved":
            return _error(400, 2001, "Incident Already Resolved")
        incident.status = wanted["status"]
        self.given.append((request.headers["From"], incident.status))
        return web.json_response({"incident": {"id": request.match_info["id"], "status": incident.status}})

    async def set_fields(self, request: web.Request) -> web.Response:
        """PUT /incidents/{id}/custom_fields/values."""
        wanted = (await request.json())["custom_fields"]
        for one in wanted:
            if one["name"] not in self.custom_fields or len(one["value"] or "") > 200:
                return _error(400, 2001, "Invalid Input Provided")
        self._incident(request).fields.update({one["name"]: one["value"] for one in wanted})
        return web.json_response({"custom_fields": wanted}, status=201)

    def _incident(self, request: web.Request) -> Incident:
        found = self.incidents.get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text='{"error": {"code": 2100, "message": "Not Found"}}')
        return found

    def _number(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}{self._numbers:06d}"


def _content(body: Mapping[str, Any]) -> str:
    content = body["note"]["content"]
    if not isinstance(content, str) or not content.strip() or len(content) > MAX_NOTE:
        raise web.HTTPBadRequest(text='{"error": {"code": 2001, "message": "Invalid Input Provided"}}')
    return content


def _page(request: web.Request, key: str, items: list[dict[str, Any]]) -> web.Response:
    limit, offset = int(request.query.get("limit", "25")), int(request.query.get("offset", "0"))
    if not 1 <= limit <= 100 or limit + offset > 10_000:
        return _error(400, 2001, "Invalid Input Provided")
    return web.json_response({key: items[offset : offset + limit], "more": offset + limit < len(items)})


def _error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, "errors": []}}, status=status)


def _break(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


@asynccontextmanager
async def fake_pagerduty() -> AsyncIterator[FakePagerDuty]:
    """An account on a free port of loopback."""
    made = FakePagerDuty()
    application = web.Application(middlewares=[made.strict])
    application.add_routes(made.routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    finally:
        await runner.cleanup()
