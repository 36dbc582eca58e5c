"""GET `/plan`: who would be hit if some services went down together, and whom to tell. POST `/plan/share`: the same to Slack.

Comes in: services. Goes out: a page; and where somebody with the scope `admin` (or on this very machine) says so, a message through the
outbox. The same plan told twice within a few minutes is one message.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from bot.enrich import answers
from bot.enrich.answers import Query
from bot.errors import BadRequest, NotFound
from bot.page import address
from bot.page.address import Look
from bot.page.around import Around
from bot.page.plan import MOST, plan
from bot.picture.choose import Wish
from bot.slack.command_views import blast, dressed
from bot.web import openapi, parameters
from bot.web.map.around import drawn, seen
from bot.web.map.reply import Door, page
from bot.web.map.sources import Sources
from bot.web.pictures import look

_LISTED = 200
_SAME_SECONDS = 300
_CHANNEL = re.compile(r"^(#?[\w-]{1,80}|[CG][A-Z0-9]{6,20})$")


class PlanPage:
    """The routes."""

    def __init__(self, sources: Sources, door: Door) -> None:
        self._sources = sources
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.get("/plan", self._door.opens(self.plan, "plan")),
            web.post("/plan/share", self._door.opens(self.share, "plan", "admin")),
        ]

    async def plan(self, request: web.Request) -> web.Response:
        """The planner: empty, or about the services picked so far."""
        given = request.query
        parameters.check(given, openapi.allowed("plan"))
        picked, unknown = self._picked(f"{given.get('service', '')},{given.get('add', '')}")
        if given.get("add") and not unknown:
            raise web.HTTPFound(address.plan(picked))  # so that the address can be pasted
        values = plan(picked, self._answer(picked) if picked else None, unknown)
        values |= {
            "may_share": self._door.may(request, "admin"), "channel": self._sources.channel, "shared": given.get("shared", "")[:80],
        }  # fmt: skip
        return page(request, "plan", "plan.html.j2", values | await self._picture(picked))

    async def share(self, request: web.Request) -> web.Response:
        """Post the plan."""
        form = await request.post()
        picked, unknown = self._picked(str(form.get("service", "")))
        channel = str(form.get("channel", "")).strip()
        if not picked or unknown:
            raise BadRequest("Pick the services first.")
        if not _CHANNEL.match(channel):
            raise BadRequest("That is no channel's name: want one like #maintenance.")
        now = time.time()
        message = dressed(blast(self._answer(picked)), ["Planned maintenance"])
        which = f"{channel}\n{','.join(picked)}\n{now // _SAME_SECONDS:.0f}"
        key = f"share:{hashlib.blake2b(which.encode(), digest_size=12).hexdigest()}"
        await self._sources.outbox.post(key, channel, message, now)
        self._sources.wake()
        raise web.HTTPSeeOther(address.address("/plan", {"service": ",".join(picked), "shared": channel}))

    def _picked(self, text: str) -> tuple[list[str], Mapping[str, Sequence[str]]]:
        """(services that are known, names that are not with those like them)"""
        picked: dict[str, None] = {}
        unknown: dict[str, Sequence[str]] = {}
        for name in [one.strip() for one in text.split(",") if one.strip()][:MOST]:
            try:
                picked[self._sources.view.graph.names.resolve(name)] = None
            except NotFound as error:
                unknown[name[:80]] = error.suggestions
        return list(picked), unknown

    def _answer(self, picked: Sequence[str]) -> dict[str, Any]:
        return answers.dependents(self._sources.view, picked[0], time.time(), Query(limit=_LISTED), picked[1:])

    async def _picture(self, picked: Sequence[str]) -> dict[str, Any]:
        """The blast radius of the first, drawn as if it failed."""
        if not picked:
            return {}
        sources = self._sources
        looked = await look(sources.view, sources.history, picked[0], None, Query(), Wish("callers", supposed=True))
        spots, calls = seen(looked.view, looked.focus, looked.now)
        around = Around(looked.focus, spots, calls, Look(picked[0], direction="callers", supposed=True), looked.now)
        return {"around": around.values()} | await drawn(sources.painter, around.focus, around.marks())
