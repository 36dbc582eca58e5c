"""GET `/incidents` and `/incidents/{id}`: all incidents, and one with the map as it was when it began.

Comes in: a state or a number. Goes out: a page. Where the map of then cannot be read, the page says so, and has everything else.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from aiohttp import web

from bot.enrich.answers import Query
from bot.errors import BadRequest, NotFound
from bot.moments import iso
from bot.page import address, say
from bot.page.address import Look
from bot.page.around import Around
from bot.page.incident import incident_page, listed, seen_at, services_of
from bot.web import openapi, parameters
from bot.web.map.around import drawn, of_view, seen
from bot.web.map.reply import Door, page
from bot.web.map.sources import Sources
from bot.web.pictures import Looked, look

_LISTED = 50


class IncidentPages:
    """The routes."""

    def __init__(self, sources: Sources, door: Door) -> None:
        self._sources = sources
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.get("/incidents", self._door.opens(self.incidents, "incidents", shared=True)),
            web.get("/incidents/{id}", self._door.opens(self.incident, "incidents", shared=True)),
        ]

    async def incidents(self, request: web.Request) -> web.Response:
        """Incidents, the newest first."""
        given, now = request.query, time.time()
        parameters.check(given, openapi.allowed("incidents page"))
        before = parameters.row_number(given.get("cursor", ""))
        if before is None and given.get("cursor"):
            raise BadRequest("cursor: not one that an earlier page gave")
        state = given.get("state", "")
        found = await self._sources.incidents.page(_LISTED + 1, before, state)
        more, found = len(found) > _LISTED, found[:_LISTED]
        services = await self._sources.incidents.services([one["id"] for one in found])
        values = {
            "incidents": listed(found, services, now),
            "switch": [
                (label, address.address("/incidents", {"state": one}), one == state)
                for one, label in (("", "All"), ("open", "Open"), ("resolved", "Over"))
            ],
            "next": address.address("/incidents", {"state": state, "cursor": found[-1]["id"]}) if more else "",
        }
        return page(request, "incidents", "incidents.html.j2", values)

    async def incident(self, request: web.Request) -> web.Response:
        """One incident."""
        text = request.match_info["id"]
        number = parameters.row_number(text)
        found = await self._sources.incidents.one(number) if number else None
        if found is None:
            raise NotFound(
                f"There is no incident {text[:20]!r}. Incidents are forgotten some time after they are over."
            )
        values = incident_page(found, time.time()) | await self._picture(found)
        return page(request, "incidents", "incident.html.j2", values)

    async def _picture(self, found: dict[str, Any]) -> dict[str, Any]:
        """The map around the first service that is on it, at the start; where it was not on the map then, as it is now."""
        sources, moment = self._sources, seen_at(found)
        for name in services_of(found):
            for at in (moment, None):
                try:
                    looked = await look(sources.view, sources.history, name, at, Query())
                except NotFound:
                    continue
                around = await of_view(sources, looked, partial(_around, looked, "" if at is None else iso(at)))
                then = f"The map at {say.clock(moment)}, when the bot first thought about it."
                when = then if at is not None else "The map as it is now: what it was then is not known."
                figure = await drawn(sources.painter, around.focus, around.marks())
                return {"when": when, "around": around.values()} | figure
        return {}


def _around(looked: Looked, at: str) -> Around:
    spots, calls = seen(looked.view, looked.focus, looked.now)
    return Around(looked.focus, spots, calls, Look(looked.focus.service, at=at), looked.now)
