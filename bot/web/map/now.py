"""GET `/`: what matters now. GET `/search`: a service by what somebody typed. GET `/static/{name}`: the pages' files."""

from __future__ import annotations

import time

from aiohttp import web

from bot.enrich import answers
from bot.enrich.answers import Query
from bot.enrich.find import find
from bot.enrich.graph_answer import map_coverage
from bot.enrich.health import failing_services
from bot.enrich.now_answer import unhealthy
from bot.errors import NotFound
from bot.page import address
from bot.page.start import Now, results, start
from bot.web import openapi, parameters
from bot.web.changes import change_events
from bot.web.map.reply import Door, page
from bot.web.map.sources import Sources
from bot.web.static_files import static

_INCIDENTS, _UNHEALTHY, _CHANGES = 20, 50, 12


class NowPage:
    """The page that opens first, and the search that is on every page."""

    def __init__(self, sources: Sources, door: Door) -> None:
        self._sources = sources
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.get("/", self._door.opens(self.now, "now", shared=True)),
            web.get("/search", self._door.opens(self.search)),
            web.get("/static/{name}", static),
        ]

    async def now(self, request: web.Request) -> web.Response:
        """Open incidents, services in trouble, what changed, how good the map is."""
        sources, now = self._sources, time.time()
        parameters.check(request.query, openapi.allowed("home"))
        changes = await change_events(sources.view, sources.changes, {"from": "-6h"}, Query(limit=_CHANGES))
        incidents = await sources.incidents.open(_INCIDENTS)
        found = Now(
            unhealthy(sources.view, now, _UNHEALTHY),
            incidents,
            await sources.incidents.services([one["id"] for one in incidents]),
            changes["items"],
            map_coverage(sources.view, now, ())["coverage"],
        )
        return page(request, "now", "now.html.j2", start(found, sources.first_steps, now))

    async def search(self, request: web.Request) -> web.Response:
        """To the service that is meant; with `list`, a list of those that may be. Raises NotFound where nothing is like it."""
        given, view, now = request.query, self._sources.view, time.time()
        parameters.check(given, openapi.allowed("search"))
        text = given.get("q", "").strip()
        if not text:
            raise web.HTTPFound("/")
        found = find(view, text)
        if not found and not parameters.flag(given, "list"):
            raise NotFound(f"No service on the map is called anything like {text[:80]!r}.")
        if not parameters.flag(given, "list"):
            raise web.HTTPFound(address.service(found[0]))
        failing = failing_services(view, now)
        items = [answers.summary(view, one, failing) for one in found]
        return page(request, "", "search.html.j2", results(text, items, now))
