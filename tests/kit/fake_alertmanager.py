"""A strict Alertmanager: of its API v2 over HTTP what silences need, with the refusals that the real one has.

It wants the token, filters as Alertmanager reads them and silences that say everything. `trouble` holds what goes wrong next,
in order: a status to answer, `drop` (the connection breaks before the order is taken), `lost` (the order is taken, the answer
is not), `hang` (no answer within the caller's patience), `slow` (a right one, after more than two seconds), `prose` (an answer
that is no JSON), `redirect`.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

TOKEN = "alertmanager-api-token-for-tests"
_FILTER = re.compile(r'([A-Za-z_][A-Za-z0-9_]*|"(?:[^"\\]|\\.)*")=("(?:[^"\\]|\\.)*")', re.DOTALL)
_SAID = {"matchers", "startsAt", "endsAt", "createdBy", "comment"}


@dataclass(slots=True)
class FakeAlertmanager:
    """The server. `asked` holds every request as (method, path)."""

    url: str = ""
    alerts: list[dict[str, str]] = field(default_factory=list)
    silences: dict[str, dict[str, Any]] = field(default_factory=dict)
    trouble: list[str | int] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def routes(self) -> list[web.RouteDef]:
        """What of the API is served."""
        return [
            web.get("/api/v2/alerts", self.list_alerts),
            web.post("/api/v2/silences", self.silence),
            web.get("/api/v2/silence/{id}", self.show),
            web.delete("/api/v2/silence/{id}", self.expire),
        ]

    @web.middleware
    async def strict(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Authentication and trouble."""
        self.asked.append((request.method, request.path))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401, text="Unauthorized")
        wrong = self.trouble.pop(0) if self.trouble else ""
        if wrong == "hang":
            await asyncio.sleep(30)
        if wrong == "slow":
            await asyncio.sleep(2.2)
        if isinstance(wrong, int):
            return web.json_response(f"trouble with {TOKEN}", status=wrong)
        if wrong == "redirect":
            raise web.HTTPFound("http://elsewhere.example/")
        if wrong == "drop":
            _break(request)
            return web.Response()
        answer: web.StreamResponse = await handler(request)
        if wrong == "lost":
            _break(request)
        return web.Response(text="<html>") if wrong == "prose" else answer

    async def list_alerts(self, request: web.Request) -> web.Response:
        """GET /alerts?filter=…: those that every filter matches."""
        wanted = []
        for text in request.query.getall("filter", []):
            found = _FILTER.fullmatch(text)
            if found is None:
                return web.json_response(f"bad matcher format: {text}", status=400)
            name, value = found.groups()
            wanted.append((json.loads(name) if name.startswith('"') else name, json.loads(value)))
        listed = [
            {"labels": one, "status": {"state": "suppressed" if self._silenced(one) else "active"}}
            for one in self.alerts
            if all(one.get(name, "") == value for name, value in wanted)
        ]
        return web.json_response(listed)

    async def silence(self, request: web.Request) -> web.Response:
        """POST /silences."""
        given = await request.json()
        if given.keys() != _SAID or not given["matchers"]:
            return web.json_response({"code": 612, "message": "matchers in body is required"}, status=422)
        if any(one.keys() != {"name", "value", "isRegex", "isEqual"} for one in given["matchers"]):
            return web.json_response({"code": 602, "message": "name in body is required"}, status=422)
        if not any(one["value"] for one in given["matchers"]):
            return web.json_response(
                "silence invalid: at least one matcher must not match the empty string", status=400
            )
        start, end = (datetime.fromisoformat(given[name]) for name in ("startsAt", "endsAt"))
        if end <= start or end <= datetime.now(UTC):
            return web.json_response("Failed to create silence: end time can't be in the past", status=400)
        number = str(uuid.uuid4())
        self.silences[number] = {**given, "id": number, "status": {"state": "active"}}
        return web.json_response({"silenceID": number})

    async def show(self, request: web.Request) -> web.Response:
        """GET /silence/{id}."""
        return web.json_response(self._silence(request))

    async def expire(self, request: web.Request) -> web.Response:
        """DELETE /silence/{id}."""
        found = self._silence(request)
        if found["status"]["state"] == "expired":
            return web.json_response("silence already expired", status=500)
        found["status"] = {"state": "expired"}
        return web.Response()

    def _silence(self, request: web.Request) -> dict[str, Any]:
        try:
            number = str(uuid.UUID(request.match_info["id"]))
        except ValueError:
            raise web.HTTPUnprocessableEntity(text='{"code": 601, "message": "must be of type uuid"}') from None
        if number not in self.silences:
            raise web.HTTPNotFound
        return self.silences[number]

    def _silenced(self, labels: Mapping[str, str]) -> bool:
        return any(
            all(labels.get(matcher["name"], "") == matcher["value"] for matcher in one["matchers"])
            for one in self.silences.values()
            if one["status"]["state"] == "active"
        )


def _break(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


@asynccontextmanager
async def fake_alertmanager() -> AsyncIterator[FakeAlertmanager]:
    """A server on a free port of loopback."""
    made = FakeAlertmanager()
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
