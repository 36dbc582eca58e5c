"""GET `/map`: a service and what is around it, with everything that is known of it beside.

Comes in: a service and what the reader chose of the map. Goes out: the page. A picture that cannot be made costs only itself: the tables
below it say the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from aiohttp import web

from bot.enrich import answers
from bot.enrich.answers import Query
from bot.enrich.cause_answer import causes
from bot.enrich.health import failing_services, service_rates
from bot.enrich.view import MapView
from bot.errors import NotFound
from bot.model import WINDOW_SECONDS, Layer
from bot.page import say
from bot.page.address import Look
from bot.page.around import Around, switches
from bot.page.figure import Mark
from bot.page.panel import Known, panel
from bot.page.slider import slider
from bot.picture import words
from bot.picture.dot import dot
from bot.picture.focus import Focus
from bot.picture.painter import Painter
from bot.web import openapi, parameters
from bot.web.map.drawing import laid_out
from bot.web.map.reply import Door, page
from bot.web.map.sources import Sources
from bot.web.pictures import Chosen, Looked, look

Made = TypeVar("Made")

_CALLS, _CAUSES, _NOTIFIED = 50, 5, 10


class MapPage:
    """The route."""

    def __init__(self, sources: Sources, door: Door) -> None:
        self._sources = sources
        self._door = door

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.get("/map", self._door.opens(self.map, "groups", shared=True))]

    async def map(self, request: web.Request) -> web.Response:
        """The map around `service`, now or at a moment."""
        given = request.query
        parameters.check(given, openapi.allowed("map"))
        if not given.get("service", "").strip():
            raise web.HTTPFound("/")
        sources, now = self._sources, time.time()
        asked = Chosen.of(given, now)
        query, wish, moment = asked.query, asked.wish, asked.moment
        try:
            looked = await look(sources.view, sources.history, given["service"], moment, query, wish)
        except NotFound as error:
            raise self._elsewhen(error, given["service"], moment) from None
        chosen = Look(
            looked.focus.service, query.depth, wish.direction, query.layers, given.get("at", ""),
            given.get("overlay", "health"), wish.supposed,
        )  # fmt: skip
        read = await of_view(sources, looked, lambda: _read(looked, chosen, query))
        incidents = await sources.incidents.about(chosen.service)
        known = Known(read.service, read.radius, read.causes, [one for one in incidents if one["resolved_at"] is None])
        values = {
            "around": read.around.values(),
            "panel": panel(known, chosen, looked.now),
            "switches": switches(chosen, [layer.value for layer in Layer if layer in looked.view.heard]),
            "slider": slider(chosen, moment, now),
            "look": chosen,
            **await drawn(sources.painter, read.around.focus, read.around.marks()),
        }
        return page(request, "groups", "map.html.j2", values)

    def _elsewhen(self, error: NotFound, name: str, moment: float | None) -> NotFound:
        """A service that was not on the map then may be on it now."""
        live = self._sources.view.graph.names.find(name) if moment is not None else None
        if live is None or moment is None:
            return error
        return NotFound(
            f"{say.name(live)} was not on the map at {say.clock(moment)}: the bot had not seen it by then.", (live,)
        )


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read off the map: the API's answers, and the picture with what is known of everything in it."""

    service: dict[str, Any]
    radius: dict[str, Any]
    causes: dict[str, Any] | None
    around: Around


def _read(looked: Looked, chosen: Look, query: Query) -> _Read:
    view, focus, now, layers = looked.view, looked.focus, looked.now, query.layers
    return _Read(
        answers.service(view, focus.service, now, Query(limit=_CALLS, layers=layers)),
        answers.dependents(view, focus.service, now, Query(limit=_NOTIFIED, depth=query.depth, layers=layers)),
        causes(view, focus.service, looked.onset, looked.verdict, _CAUSES, until=now) if looked.verdict else None,
        Around(focus, *seen(view, focus, now), chosen, now),
    )


async def of_view(sources: Sources, looked: Looked, make: Callable[[], Made]) -> Made:
    """What `make` reads off the map: the live one belongs to the event loop, and one from the past takes long."""
    return make() if looked.view is sources.view else await asyncio.to_thread(make)


def seen(view: MapView, focus: Focus, now: float) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    """The answers about each service and each call of a picture."""
    failing = failing_services(view, now)
    spots = {
        spot.id: answers.summary(view, spot.id, failing)
        | {"rates": answers.rates_json(service_rates(view, spot.id, now, view.firing.get(spot.id)))}
        for spot in focus.spots
    }
    calls = {
        (arrow.caller, arrow.callee): answers.edge(view, arrow.caller, arrow.callee, now)
        for arrow in focus.arrows
        if arrow.callee in view.graph.callees(arrow.caller)
    }
    return spots, calls


async def drawn(painter: Painter, focus: Focus, marks: dict[str, Mark]) -> dict[str, Any]:
    """The figure, or why there is none."""
    # The picture says of which minute it is: within one, the same services and calls are the same picture.
    of_minute = replace(focus, as_of=focus.as_of // WINDOW_SECONDS * WINDOW_SECONDS)
    said = {"subtitle": words.subtitle(of_minute)}
    dotted = dot(of_minute, titled=False)
    return said | await laid_out(painter, dotted, marks, words.title(of_minute), words.alt(of_minute))
