"""The JSON API: read-only answers over the live map (design: interfaces others rely on)."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiohttp import web

from bot.enrich import answers
from bot.enrich.answers import MAX_LIMIT, Query
from bot.enrich.view import MapView
from bot.errors import BadRequest
from bot.model import Layer
from bot.web.auth import Gate
from bot.web.problem import json_response

_PARAMETERS = frozenset(
    (
        "q",
        "depth",
        "layers",
        "tier",
        "domain",
        "limit",
        "cursor",
        "min_confidence",
        "hidden",
        "from",
        "to",
        "caller",
        "callee",
    )
)
_MAX_DEPTH = 100


class Api:
    """GET `/api/v1/services`, `/services/{id}`, `/services/{id}/dependents`, `/services/{id}/dependencies`, `/path`."""

    def __init__(self, view: MapView, gate: Gate) -> None:
        self._view = view
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.get("/api/v1/services", self.services),
            web.get("/api/v1/services/{id}", self.service),
            web.get("/api/v1/services/{id}/dependents", self.dependents),
            web.get("/api/v1/services/{id}/dependencies", self.dependencies),
            web.get("/api/v1/path", self.path),
        ]

    async def services(self, request: web.Request) -> web.Response:
        """All services, or those with `q` in their id."""
        query = self._query(request)
        return json_response(answers.services(self._view, time.time(), query, request.query.get("q", "")))

    async def service(self, request: web.Request) -> web.Response:
        """One service with its edges."""
        query = self._query(request)
        return json_response(answers.service(self._view, self._id(request.match_info["id"]), time.time(), query))

    async def dependents(self, request: web.Request) -> web.Response:
        """Who needs it: the blast radius, ranked."""
        query = self._query(request)
        return json_response(answers.dependents(self._view, self._id(request.match_info["id"]), time.time(), query))

    async def dependencies(self, request: web.Request) -> web.Response:
        """What it needs."""
        query = self._query(request)
        return json_response(
            answers.dependencies_of(self._view, self._id(request.match_info["id"]), time.time(), query)
        )

    async def path(self, request: web.Request) -> web.Response:
        """Call paths between two services, named `from` and `to` (or `caller` and `callee`)."""
        query = self._query(request)
        caller = request.query.get("from") or request.query.get("caller", "")
        callee = request.query.get("to") or request.query.get("callee", "")
        if not caller or not callee:
            raise BadRequest("path: say from=SERVICE and to=SERVICE")
        return json_response(answers.path(self._view, self._id(caller), self._id(callee), time.time(), query))

    def _id(self, text: str) -> str:
        return self._view.graph.names.resolve(text)

    def _query(self, request: web.Request) -> Query:
        self._gate.check(request, "read")
        return parse_query(request.query)


def parse_query(given: Mapping[str, str]) -> Query:
    """The parameters every answer understands. Raises BadRequest naming the one that is wrong."""
    unknown = sorted(set(given) - _PARAMETERS)
    if unknown:
        raise BadRequest(f"no such parameter: {', '.join(unknown)[:200]}; there are {', '.join(sorted(_PARAMETERS))}")
    names = [name for name in given.get("layers", "").split(",") if name]
    strange = sorted(set(names) - set(Layer))
    if strange:
        raise BadRequest(f"layers: no layer called {', '.join(strange)[:80]}; there are {', '.join(Layer)}")
    confidence = _number(given, "min_confidence", 0, 1)
    depth = _number(given, "depth", 1, _MAX_DEPTH)
    limit = _number(given, "limit", 1, MAX_LIMIT)
    return Query(
        depth=None if depth is None else int(depth),
        limit=100 if limit is None else int(limit),
        cursor=given.get("cursor", ""),
        layers=frozenset(Layer(name) for name in names),
        tier=given.get("tier", ""),
        domain=given.get("domain", ""),
        min_confidence=confidence,
        hidden=given.get("hidden", "").lower() in ("1", "true", "yes"),
    )


def _number(given: Mapping[str, str], name: str, low: float, high: float) -> float | None:
    text = given.get(name)
    if text is None or text == "":
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise BadRequest(f"{name}: want a number from {low:g} to {high:g}")
    return value
