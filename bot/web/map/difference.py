"""GET `/diff`: what changed between two moments, drawn and listed.

Comes in: the parameters of `/api/v1/diff`. Goes out: a page of the same answer.
"""

from __future__ import annotations

from aiohttp import web

from bot.page.difference import difference
from bot.web import openapi, parameters
from bot.web.map.drawing import sketched
from bot.web.map.reply import Door, page
from bot.web.map.sources import Sources
from bot.web.questions import changes

_LISTED = "60"


class DifferencePage:
    """The route."""

    def __init__(self, sources: Sources, door: Door) -> None:
        self._sources = sources
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.get("/diff", self._door.opens(self.diff, "diff"))]

    async def diff(self, request: web.Request) -> web.Response:
        """The changes, a page of them."""
        given = {name: text.strip() for name, text in request.query.items() if text.strip()}
        parameters.check(given, openapi.allowed("diff page"))
        query = parameters.query({"limit": _LISTED} | given)
        found = await changes(self._sources.view, self._sources.history, given, query)
        sketch, values = difference(found, given)
        return page(
            request, "diff", "diff.html.j2", values | await sketched(self._sources.painter, sketch, "What changed")
        )
