"""GET `/groups`: the map by domain or team, and one group's services. GET `/api/v1/groups`: the same as JSON.

Comes in: `by`, and `group` for one of them. Goes out: a page. Adding up a big map takes a while, so it is done a slice at a time, and once
for everybody who asks within some seconds.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from bot.enrich.group_answer import GroupFold, edge_slices, members
from bot.errors import NotFound
from bot.page.groups import inside, overview
from bot.web import openapi, parameters
from bot.web.auth import Gate
from bot.web.map.drawing import sketched
from bot.web.map.reply import Door, page
from bot.web.map.sources import Sources
from bot.web.problem import json_response

_FRESH_SECONDS = 10.0
_LISTED = 200


class GroupPages:
    """The routes."""

    def __init__(self, sources: Sources, door: Door, gate: Gate) -> None:
        self._sources = sources
        self._door = door
        self._gate = gate
        self._made: dict[str, tuple[float, dict[str, Any]]] = {}
        self._adding = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.get("/groups", self._door.opens(self.groups, "groups", shared=True)),
            web.get("/api/v1/groups", self.answer),
        ]

    async def answer(self, request: web.Request) -> web.Response:
        """All groups as JSON."""
        self._gate.check(request, "read")
        parameters.check(request.query, openapi.allowed("groups"))
        return json_response(await self._groups(request.query.get("by", "domain")))

    async def groups(self, request: web.Request) -> web.Response:
        """All groups, or one."""
        given, now = request.query, time.time()
        parameters.check(given, openapi.allowed("groups page"))
        by = given.get("by", "domain")
        if name := given.get("group", ""):
            found = members(self._sources.view, now, by, "" if name == "-" else name, _LISTED)
            if not found["total"]:
                raise NotFound(f"No service on the map is of the {by} {name[:80]!r}.")
            sketch, values = inside(found, now)
            about = f"The services of {values['name']}"
            return page(
                request, "groups", "group.html.j2", values | await sketched(self._sources.painter, sketch, about)
            )
        sketch, values = overview(await self._groups(by))
        return page(
            request,
            "groups",
            "groups.html.j2",
            values | await sketched(self._sources.painter, sketch, f"The map by {by}"),
        )

    async def _groups(self, by: str) -> dict[str, Any]:
        async with self._adding:
            now = time.time()
            made = self._made.get(by)
            if made is None or now - made[0] > _FRESH_SECONDS:
                fold = GroupFold(self._sources.view, by, now)
                for part in edge_slices(self._sources.view):
                    fold.add(part)
                    await asyncio.sleep(0)  # an alert may be waiting
                made = self._made[by] = now, fold.answer()
            return made[1]
