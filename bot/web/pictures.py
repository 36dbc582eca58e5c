"""GET `/api/v1/services/{id}/picture`: a service and what is around it, as SVG, PNG, DOT or Mermaid.

Comes in: a service, a moment, hops and layers. Goes out: the picture under its own content type, which no browser may take for
anything else; or a problem document: a picture that cannot be made costs nothing but itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from bot.enrich.answers import Query
from bot.enrich.causes.ranking import Verdict, rank
from bot.enrich.live_situation import situation
from bot.enrich.view import MapView
from bot.errors import PictureError
from bot.history import History
from bot.picture.choose import Wish, choose, in_trouble, suspects_of
from bot.picture.focus import Focus
from bot.picture.painter import Format, Painter
from bot.web import openapi, parameters
from bot.web.auth import Gate
from bot.web.problem import problem

_DAY = 86_400.0
_STILL_IN_MEMORY = 900.0
_RETRY_SECONDS = 2
_HEADERS = {
    # An SVG that is opened by itself is a page of ours: it may draw, and nothing else.
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Pictures:
    """The route."""

    def __init__(self, view: MapView, gate: Gate, history: History, painter: Painter) -> None:
        self._view = view
        self._gate = gate
        self._history = history
        self._painter = painter

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.get(route.path, self.picture) for route in openapi.ROUTES if route.name == "picture"]

    async def picture(self, request: web.Request) -> web.Response:
        """One picture. 304 where the asker has it already."""
        self._gate.check(request, "read")
        parameters.check(request.query, openapi.allowed("picture"))
        query, form = parameters.query(request.query), Format(request.query.get("format", Format.SVG))
        moment = parameters.moment(request.query, "at", time.time())
        focus = await focus_at(self._view, self._history, request.match_info["id"], moment, query)
        try:
            body = await self._painter.paint(focus, form)
        except PictureError as error:
            more = {"Retry-After": str(_RETRY_SECONDS)} if error.reason == "busy" else None
            return problem(503, error.slug, str(error), more, reason=error.reason)
        tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=_HEADERS | {"ETag": tag})
        charset = "utf-8" if form.content_type.startswith("text/") else None
        headers = _HEADERS | {"ETag": tag}
        return web.Response(body=body, content_type=form.content_type, charset=charset, headers=headers)


@dataclass(frozen=True, slots=True)
class Looked:
    """One look at the map around a service: the map it was read off with its now, the picture, and where the service is in trouble
    what was thought out about that, and since when."""

    view: MapView
    focus: Focus
    now: float
    verdict: Verdict | None = None
    onset: float = 0.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a reader of the page `/map` chose: `moment` None for now."""

    query: Query
    wish: Wish
    moment: float | None

    @classmethod
    def of(cls, given: Mapping[str, str], now: float) -> Chosen:
        """As the page's address says it. Raises BadRequest naming the parameter that is wrong."""
        wish = Wish(given.get("direction", "both"), parameters.flag(given, "supposed"))
        return cls(parameters.query(given), wish, parameters.moment(given, "at", now))


async def focus_at(view: MapView, history: History, name: str, moment: float | None, query: Query) -> Focus:
    """The focus graph of the service called `name`, as `look` sees it."""
    return (await look(view, history, name, moment, query)).focus


async def look(
    view: MapView, history: History, name: str, moment: float | None, query: Query, wish: Wish | None = None
) -> Looked:
    """The service called `name` and what is around it, now (`moment` None) or as it was, with the likely causes where it is in trouble.

    Raises NotFound for a service that is not on the map.
    """
    shown = view if moment is None else await history.at(moment)
    now = time.time() if moment is None else moment
    service = shown.graph.names.resolve(name)
    suspects: tuple[tuple[str, float], ...] = ()
    verdict, at = None, now
    if in_trouble(shown, service, now):
        onset = shown.firing.get(service, now)
        at = onset if now - _STILL_IN_MEMORY < onset <= now else now
        usual = await history.at(at - _DAY)
        # The map belongs to the event loop, what is read off it to nobody: the thinking is done in a thread.
        verdict = await asyncio.to_thread(rank, situation(shown, service, at, "", usual, now), view.metrics)
        suspects = suspects_of(verdict, service)
    if moment is None:
        focus = choose(shown, service, now, query, suspects, wish)
    else:
        focus = await asyncio.to_thread(choose, shown, service, now, query, suspects, wish)
    return Looked(shown, focus, now, verdict, at)
