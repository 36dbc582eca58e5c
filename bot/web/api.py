"""The JSON API: read-only answers over the map, live or as it was (design: interfaces others rely on)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from bot.enrich import answers, workload_answers
from bot.enrich.answers import WORKLOAD, Query
from bot.enrich.cause_answer import causes
from bot.enrich.causes.ranking import rank
from bot.enrich.changes_between import EdgeChange
from bot.enrich.coverage import coverage, coverage_json
from bot.enrich.graph_answer import graph, map_coverage
from bot.enrich.live_situation import situation
from bot.enrich.paging import page
from bot.enrich.view import MapView
from bot.errors import BadRequest, NotFound
from bot.history import History
from bot.model import Layer
from bot.moments import iso
from bot.storage.change_store import ChangeStore
from bot.storage.incident_reader import IncidentReader
from bot.web import openapi, parameters
from bot.web.auth import Gate
from bot.web.changes import change_events
from bot.web.digest import news
from bot.web.problem import json_response

_DAY = 86_400.0
_STILL_IN_MEMORY = 900.0  # of the hour in memory, the most that may lie after the moment asked about
_TIMES = ("opened_at", "updated_at", "resolved_at", "starts_at", "ends_at", "at")


class Api:
    """The `GET` routes of `/api/v1`. `incidents`, `history` and `changes` read the database, the rest the map in memory."""

    def __init__(
        self, view: MapView, gate: Gate, history: History, incidents: IncidentReader, changes: ChangeStore
    ) -> None:
        self._view = view
        self._gate = gate
        self._history = history
        self._incidents = incidents
        self._changes = changes

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        handlers = {
            "services": self.services, "service": self.service, "owner": self.owner, "dependents": self.dependents,
            "causes": self.causes,
            "dependencies": self.dependencies, "path": self.path, "graph": self.graph, "coverage": self.coverage,
            "diff": self.diff, "digest": self.digest, "changes": self.changes, "incidents": self.incidents, "incident": self.incident,
            "openapi": self.openapi,
        }  # fmt: skip
        return [web.get(route.path, handlers[route.name]) for route in openapi.ROUTES if route.name in handlers]

    async def services(self, request: web.Request) -> web.Response:
        """All services, or those with `q` in their id."""
        given, query, view, now = await self._asked(request, "services")
        return await self._made(view, lambda: answers.services(view, now, query, given.get("q", "")))

    async def service(self, request: web.Request) -> web.Response:
        """One service with its edges."""
        _, query, view, now = await self._asked(request, "service")
        name = request.match_info["id"]
        if query.level == WORKLOAD:
            return await self._made(view, lambda: workload_answers.service(view, name, now, query))
        return await self._made(view, lambda: answers.service(view, _id(view, name), now, query))

    async def owner(self, request: web.Request) -> web.Response:
        """Who owns it, on the map or only in the catalogue."""
        _, _, view, now = await self._asked(request, "owner")
        return await self._made(view, lambda: answers.owner(view, request.match_info["id"], now))

    async def dependents(self, request: web.Request) -> web.Response:
        """Who needs it: the blast radius, ranked."""
        given, query, view, now = await self._asked(request, "dependents")
        name, together = request.match_info["id"], _listed(given, "service")
        if query.level == WORKLOAD:
            return await self._made(view, lambda: workload_answers.dependents(view, name, now, query, together))
        others = [_id(view, one) for one in together]
        identifier = _id(view, name)
        return await self._made(view, lambda: answers.dependents(view, identifier, now, query, others))

    async def causes(self, request: web.Request) -> web.Response:
        """Likely causes of its trouble, ranked, with evidence."""
        given, query = self._given(request, "causes")
        return json_response(
            await why(self._view, self._history, self._incidents, request.match_info["id"], given, query.limit)
        )

    async def dependencies(self, request: web.Request) -> web.Response:
        """What it needs."""
        _, query, view, now = await self._asked(request, "dependencies")
        name = request.match_info["id"]
        if query.level == WORKLOAD:
            return await self._made(view, lambda: workload_answers.dependencies_of(view, name, now, query))
        return await self._made(view, lambda: answers.dependencies_of(view, _id(view, name), now, query))

    async def path(self, request: web.Request) -> web.Response:
        """Call paths between two services, named `from` and `to` (or `caller` and `callee`)."""
        given, query, view, now = await self._asked(request, "path", ranges=False)
        caller, callee = given.get("from") or given.get("caller"), given.get("to") or given.get("callee")
        if not caller or not callee:
            raise BadRequest("path: say from=SERVICE and to=SERVICE")
        return await self._made(view, lambda: answers.path(view, _id(view, caller), _id(view, callee), now, query))

    async def graph(self, request: web.Request) -> web.Response:
        """The map, or what is around some services."""
        given, query, view, now = await self._asked(request, "graph")
        named, direction = _listed(given, "service"), given.get("direction", "both")
        if query.level == WORKLOAD:
            return await self._made(view, lambda: workload_answers.graph(view, now, query, named, direction))
        around = [_id(view, one) for one in named]
        return await self._made(view, lambda: graph(view, now, query, around, direction))

    async def coverage(self, request: web.Request) -> web.Response:
        """How complete the map is."""
        given, _, view, now = await self._asked(request, "coverage")
        return json_response(map_coverage(view, now, [_id(view, one) for one in _listed(given, "service")]))

    async def diff(self, request: web.Request) -> web.Response:
        """What changed from one moment to another, or over the last day."""
        given, query = self._given(request, "diff")
        return json_response(await changes(self._view, self._history, given, query))

    async def digest(self, request: web.Request) -> web.Response:
        """Dependencies that became new, gone or changed in the last day, all layers together."""
        given, query = self._given(request, "digest")
        return json_response(await news(self._view, self._history, given, query))

    async def changes(self, request: web.Request) -> web.Response:
        """What was deployed, configured, switched or scaled, the newest first."""
        given, query = self._given(request, "changes")
        return json_response(await change_events(self._view, self._changes, given, query))

    async def incidents(self, request: web.Request) -> web.Response:
        """Incidents, the newest first."""
        given, query = self._given(request, "incidents")
        before = parameters.row_number(given.get("cursor", ""))
        if before is None and given.get("cursor"):
            raise BadRequest("cursor: not one that an earlier answer gave")
        found = await self._incidents.page(query.limit + 1, before, given.get("state", ""))
        more = len(found) > query.limit
        items = [_dated(one) for one in found[: query.limit]]
        now = time.time()
        return json_response(
            {"items": items, "next_cursor": str(items[-1]["id"]) if more else None} | answers.frame(self._view, (), now)
        )

    async def incident(self, request: web.Request) -> web.Response:
        """One incident: what the message said, its alerts, and why the bot did what it did."""
        self._given(request, "incident")
        text = request.match_info["id"]
        number = parameters.row_number(text)
        found = await self._incidents.one(number) if number else None
        if found is None:
            raise NotFound(f"no incident {text[:20]!r}")
        return json_response(_dated(found) | answers.frame(self._view, (), time.time()))

    async def openapi(self, request: web.Request) -> web.Response:
        """The description of all of this."""
        self._gate.check(request, "read")
        return json_response(openapi.document())

    # -- what was asked ----------------------------------------------------------------------------------------------------

    def _given(self, request: web.Request, name: str) -> tuple[Mapping[str, str], Query]:
        self._gate.check(request, "read")
        parameters.check(request.query, openapi.allowed(name))
        return request.query, parameters.query(request.query)

    async def _made(self, view: MapView, make: Callable[[], dict[str, Any]]) -> web.Response:
        """An answer. One from the past takes long and reads what nobody changes, so a thread makes it; the live map belongs
        to the event loop."""
        return json_response(make() if view is self._view else await asyncio.to_thread(make))

    async def _asked(
        self, request: web.Request, name: str, *, ranges: bool = True
    ) -> tuple[Mapping[str, str], Query, MapView, float]:
        """(parameters, query, the map of the moment or range that was asked for, its now)."""
        given, query = self._given(request, name)
        now = time.time()
        at = parameters.moment(given, "at", now)
        since = parameters.moment(given, "from", now) if ranges else None
        until = parameters.moment(given, "to", now) if ranges else None
        if at is not None:
            if since is not None or until is not None:
                raise BadRequest("say at, or from and to")
            return given, query, await self._history.at(at), at
        if since is None and until is None:
            return given, query, self._view, now
        until = now if until is None else until
        since = until - _DAY if since is None else since
        if since >= until:
            raise BadRequest("from has to lie before to")
        return given, query, await self._history.between(since, until), until


async def why(
    view: MapView, history: History, incidents: IncidentReader, name: str, given: Mapping[str, str], limit: int
) -> dict[str, Any]:
    """Likely causes of trouble at the service called `name`: now, `at` a moment, or when the `alert` began that has this
    number or fingerprint (which then says what it is about, and whose it is where `name` is "").

    Raises BadRequest for a parameter that is wrong, NotFound for a service or an alert that is not there.
    """
    now = time.time()
    at, about = parameters.moment(given, "at", now), given.get("about", "")
    if wanted := given.get("alert", ""):
        alert = await incidents.alert(wanted)
        if alert is None:
            raise NotFound(f"no alert {wanted[:80]!r}")
        at, about = at or alert["starts_at"], about or alert["title"]
        name = name or alert["service"] or alert["named"]
    live = at is None or at > now - _STILL_IN_MEMORY
    moment = now if at is None else at
    shown = view if live else await history.at(moment)
    usual = await history.at(moment - _DAY)
    service = _id(shown, name)
    # The map belongs to the event loop, what is read off it to nobody: the thinking is done in a thread.
    found = await asyncio.to_thread(
        rank, situation(shown, service, moment, about, usual, now if live else moment), view.metrics
    )
    return causes(shown, service, moment, found, limit, until=now if live else moment)


async def changes(view: MapView, history: History, given: Mapping[str, str], query: Query) -> dict[str, Any]:
    """What changed between the moments `from` and `to` (a day before the other; now): the answer of `/diff`.

    Raises BadRequest for a parameter that is wrong, NotFound for a service that is not on the map.
    """
    now = time.time()
    before = parameters.moment(given, "from", now)
    after = parameters.moment(given, "to", now) or now
    before = after - _DAY if before is None else before
    if before >= after:
        raise BadRequest("from has to lie before to")
    services = {_id(view, one) for one in _listed(given, "service")}
    found = {}
    for change in await history.diff(before, after):
        layers = query.layers or {None}
        if (
            change.layer in layers
            and given.get("kind", change.kind) == change.kind
            and _concerns(view, change, services, query)
        ):
            found[f"{change.caller}\n{change.callee}\n{change.layer or ''}\n{change.kind}"] = change
    keys, next_cursor = page(list(found), query.limit, query.cursor, ordered=False)
    return {
        "from": iso(before),
        "to": iso(after),
        "items": [_change(found[key]) for key in keys],
        "total": len(found),
        "next_cursor": next_cursor,
        "as_of": iso(now),
        "coverage": coverage_json(coverage(view, services or list(view.graph.services()), now)),
    }


def _concerns(view: MapView, change: EdgeChange, services: set[str], query: Query) -> bool:
    ends = (change.caller, change.callee)
    if services and not services & set(ends):
        return False
    here = [end for end in ends if end in view.graph]
    return not query.scoped or any(answers.in_scope(view, end, query) for end in here)


def _id(view: MapView, text: str) -> str:
    return view.graph.names.resolve(text)


def _listed(given: Mapping[str, str], name: str) -> list[str]:
    return [one.strip() for one in given.get(name, "").split(",") if one.strip()][:50]


def _change(change: EdgeChange) -> dict[str, Any]:
    def numbers(side: Any) -> dict[str, Any] | None:
        if side is None:
            return None
        return {
            "calls": side.calls,
            "calls_per_minute": side.calls_per_minute,
            "error_rate": side.error_rate,
            "p95_ms": side.p95_ms,
        }

    return {
        "caller": change.caller,
        "callee": change.callee,
        "layer": change.layer.value if isinstance(change.layer, Layer) else None,
        "kind": change.kind,
        "what": list(change.what),
        "before": numbers(change.before),
        "after": numbers(change.after),
    }


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON, its times as ISO 8601."""
    return {
        name: iso(value) if name in _TIMES and isinstance(value, int | float)
        else [_dated(one) for one in value] if isinstance(value, list) and value and isinstance(value[0], dict) and name != "facts"
        else value
        for name, value in row.items()
    }  # fmt: skip
