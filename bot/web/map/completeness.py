"""GET `/coverage`: how much of the world the map sees, and what to mend.

Comes in: nothing. Goes out: a page of the same answers as `/api/v1/coverage` and the doctor.
"""

from __future__ import annotations

import time

from aiohttp import web

from bot.enrich.graph_answer import map_coverage
from bot.page.completeness import completeness
from bot.web.map.reply import Door, page
from bot.web.map.sources import Sources
from bot.web.status import Parts, examine


class CoveragePage:
    """The route."""

    def __init__(self, sources: Sources, door: Door, parts: Parts) -> None:
        self._sources = sources
        self._door = door
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.get("/coverage", self._door.opens(self.coverage, "coverage"))]

    async def coverage(self, request: web.Request) -> web.Response:
        """All of it."""
        now = time.time()
        found = map_coverage(self._sources.view, now, ())["coverage"]
        return page(request, "coverage", "coverage.html.j2", completeness(found, await examine(self._parts, now)))
