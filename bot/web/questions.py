"""The questions that every program may ask, over HTTP or as an MCP tool, and their answers: one place, so that they never disagree.

Comes in: a question's name (`openapi.ROUTES`), whom it is about, its parameters as texts. Goes out: JSON-able answers, each with
`as_of`, `coverage`, `confidence` and `confidence_reasons`. What is wrong with a question is raised: BadRequest, NotFound.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.enrich import answers, backstage, workload_answers
from bot.enrich.answers import WORKLOAD, Query
from bot.enrich.cause_answer import causes
from bot.enrich.causes.ranking import rank
from bot.enrich.changes_between import EdgeChange
from bot.enrich.coverage import coverage, coverage_json
from bot.enrich.graph_answer import graph, map_coverage
from bot.enrich.grounds import change_grounds, grounds
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
from bot.web.changes import change_events
from bot.web.digest import news

Json = dict[str, Any]
_DAY = 86_400.0
_STILL_IN_MEMORY = 900.0  # of the hour in memory, the most that may lie after the moment asked about
_TIMES = ("opened_at", "updated_at", "resolved_at", "starts_at", "ends_at", "at")

_Answer = Callable[[MapView, str, float, Query], Json]
"""(map, whom it is about, now, parameters) -> the answer."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question: whom it is about ("" for nobody), its parameters, and those that every answer understands."""

    about: str
    given: Mapping[str, str]
    query: Query

    def listed(self, name: str) -> list[str]:
        """The names in a comma-separated parameter."""
        return _listed(self.given, name)


class Questions:
    """Answers them. `incidents`, `history` and `changes` read the database, the rest the map in memory."""

    def __init__(self, view: MapView, history: History, incidents: IncidentReader, changes: ChangeStore) -> None:
        self._view = view
        self._history = history
        self._incidents = incidents
        self._changes = changes
        self._kinds: Mapping[str, Callable[[_Asked], Awaitable[Json]]] = {
            "services": self._services, "service": self._service, "owner": self._owner, "dependents": self._dependents,
            "causes": self._causes, "dependencies": self._dependencies, "backstage": self._backstage, "path": self._path,
            "graph": self._graph, "coverage": self._coverage, "diff": self._diff, "digest": self._digest,
            "changes": self._change_events, "incidents": self._incidents_page, "incident": self._incident,
        }  # fmt: skip

    @property
    def names(self) -> frozenset[str]:
        """The questions there are."""
        return frozenset(self._kinds)

    async def answer(self, name: str, given: Mapping[str, str], about: str = "") -> Json:
        """The answer to one question. Raises BadRequest for a parameter that is wrong, NotFound for what is not there."""
        parameters.check(given, openapi.allowed(name))
        answer = await self._kinds[name](_Asked(about, given, parameters.query(given)))
        return answer | grounds(name, answer)

    async def _services(self, asked: _Asked) -> Json:
        return await self._made(
            asked, lambda view, now: answers.services(view, now, asked.query, asked.given.get("q", ""))
        )

    async def _service(self, asked: _Asked) -> Json:
        return await self._made(asked, partial(_at_level, asked, workload_answers.service, answers.service))

    async def _owner(self, asked: _Asked) -> Json:
        return await self._made(asked, lambda view, now: answers.owner(view, asked.about, now))

    async def _dependents(self, asked: _Asked) -> Json:
        def make(view: MapView, now: float) -> Json:
            together = asked.listed("service")
            if asked.query.level == WORKLOAD:
                return workload_answers.dependents(view, asked.about, now, asked.query, together)
            others = [_id(view, one) for one in together]
            return answers.dependents(view, _id(view, asked.about), now, asked.query, others)

        return await self._made(asked, make)

    async def _causes(self, asked: _Asked) -> Json:
        return await why(self._view, self._history, self._incidents, asked.about, asked.given, asked.query.limit)

    async def _dependencies(self, asked: _Asked) -> Json:
        by_level = partial(_at_level, asked, workload_answers.dependencies_of, answers.dependencies_of)
        return await self._made(asked, by_level)

    async def _backstage(self, asked: _Asked) -> Json:
        return await self._made(
            asked, lambda view, now: backstage.entity(view, _id(view, asked.about), now, asked.query)
        )

    async def _path(self, asked: _Asked) -> Json:
        given = asked.given
        caller, callee = given.get("from") or given.get("caller"), given.get("to") or given.get("callee")
        if not caller or not callee:
            raise BadRequest("path: say from=SERVICE and to=SERVICE")

        def make(view: MapView, now: float) -> Json:
            return answers.path(view, _id(view, caller), _id(view, callee), now, asked.query)

        return await self._made(asked, make, ranges=False)

    async def _graph(self, asked: _Asked) -> Json:
        named, direction = asked.listed("service"), asked.given.get("direction", "both")

        def make(view: MapView, now: float) -> Json:
            if asked.query.level == WORKLOAD:
                return workload_answers.graph(view, now, asked.query, named, direction)
            return graph(view, now, asked.query, [_id(view, one) for one in named], direction)

        return await self._made(asked, make)

    async def _coverage(self, asked: _Asked) -> Json:
        view, now = await self._reading(asked.given)
        return map_coverage(view, now, [_id(view, one) for one in asked.listed("service")])

    async def _diff(self, asked: _Asked) -> Json:
        return await changes(self._view, self._history, asked.given, asked.query)

    async def _digest(self, asked: _Asked) -> Json:
        return await news(self._view, self._history, asked.given, asked.query)

    async def _change_events(self, asked: _Asked) -> Json:
        return await change_events(self._view, self._changes, asked.given, asked.query)

    async def _incidents_page(self, asked: _Asked) -> Json:
        before = parameters.row_number(asked.query.cursor)
        if before is None and asked.query.cursor:
            raise BadRequest("cursor: not one that an earlier answer gave")
        limit = asked.query.limit
        found = await self._incidents.page(limit + 1, before, asked.given.get("state", ""))
        items = [_dated(one) for one in found[:limit]]
        next_cursor = str(items[-1]["id"]) if len(found) > limit else None
        return {"items": items, "next_cursor": next_cursor} | answers.frame(self._view, (), time.time())

    async def _incident(self, asked: _Asked) -> Json:
        number = parameters.row_number(asked.about)
        found = await self._incidents.one(number) if number else None
        if found is None:
            raise NotFound(f"no incident {asked.about[:20]!r}")
        return _dated(found) | answers.frame(self._view, (), time.time())

    async def _made(self, asked: _Asked, make: Callable[[MapView, float], Json], *, ranges: bool = True) -> Json:
        """An answer from the map of the moment that was asked for. One from the past takes long and reads what nobody changes,
        so a thread makes it; the live map belongs to the event loop."""
        view, now = await self._reading(asked.given, ranges=ranges)
        return make(view, now) if view is self._view else await asyncio.to_thread(make, view, now)

    async def _reading(self, given: Mapping[str, str], *, ranges: bool = True) -> tuple[MapView, float]:
        """(the map of the moment or range that was asked for, its now)"""
        now = time.time()
        at = parameters.moment(given, "at", now)
        since = parameters.moment(given, "from", now) if ranges else None
        until = parameters.moment(given, "to", now) if ranges else None
        if at is not None:
            if since is not None or until is not None:
                raise BadRequest("say at, or from and to")
            return await self._history.at(at), at
        if since is None and until is None:
            return self._view, now
        until = now if until is None else until
        since = until - _DAY if since is None else since
        if since >= until:
            raise BadRequest("from has to lie before to")
        return await self._history.between(since, until), until


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
        "items": [_change(found[key]) | change_grounds(view, found[key], now) for key in keys],
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


def _at_level(asked: _Asked, of_workload: _Answer, of_service: _Answer, view: MapView, now: float) -> Json:
    """The answer about a workload or a service, by the level that was asked for."""
    if asked.query.level == WORKLOAD:
        return of_workload(view, asked.about, now, asked.query)
    return of_service(view, _id(view, asked.about), now, asked.query)


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
