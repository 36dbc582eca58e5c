"""What a digest tells, as JSON: dependencies that became new, gone or changed between two moments, each confirmed by persistence.

Comes in: parameters. Goes out: a page of lines, those that concern most people first, and how complete the map was. Nothing is
remembered: what a subscription was told or what was answered to it plays no part here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from bot.digest.contents import Line, Reading, lines, unattributed
from bot.enrich.answers import Query
from bot.enrich.coverage import coverage, coverage_json
from bot.enrich.paging import page
from bot.enrich.view import MapView
from bot.errors import BadRequest
from bot.history import History
from bot.model import Subscription
from bot.moments import iso
from bot.web import parameters

_DAY = 86_400.0
_LONGEST = 31 * _DAY


async def news(view: MapView, history: History, given: Mapping[str, str], query: Query) -> dict[str, Any]:
    """The answer of `/digest`. Raises BadRequest for a parameter that is wrong, NotFound for a service not on the map."""
    now = time.time()
    until = parameters.moment(given, "to", now) or now
    since = parameters.moment(given, "from", now)
    since = until - _DAY if since is None else since
    if not 0 < until - since <= _LONGEST:
        raise BadRequest("from has to lie before to, and no more than 31 days")
    service = given.get("service", "")
    asked = Subscription(
        0, "", "", now, 0, "UTC",
        team=given.get("team", "") or query.owner, domain=query.domain, tier=query.tier,
        service=view.graph.names.resolve(service) if service else "",
    )  # fmt: skip
    reading = await history.period(since, until)
    found = await asyncio.to_thread(_fitting, reading, asked, query, given.get("kind", ""))
    share = await asyncio.to_thread(unattributed, reading, asked)
    keys, next_cursor = page(list(found), query.limit, query.cursor, ordered=False)
    return {
        "from": iso(since),
        "to": iso(until),
        "items": [_item(found[key]) for key in keys],
        "total": len(found),
        "next_cursor": next_cursor,
        "unattributed": None if share is None else round(share, 4),
        "layers": {layer: {"age_seconds": round(age)} for layer, age in reading.heard.items()},
        "as_of": iso(now),
        "coverage": coverage_json(coverage(view, [asked.service] if service else list(view.graph.services()), now)),
    }


def _fitting(reading: Reading, asked: Subscription, query: Query, kind: str) -> dict[str, Line]:
    return {
        line.key: line
        for line in lines(reading, asked)
        if line.kind == (kind or line.kind) and (not query.layers or query.layers & {layer for layer, _ in line.calls})
    }


def _item(line: Line) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "caller": line.caller,
        "callee": line.callee,
        "what": list(line.what),
        "layers": {layer.value: {"calls": calls} for layer, calls in line.calls},
        "owner": line.owner or None,
        "cross_team": line.cross_team,
        "external": line.external,
        "tier_inversion": line.inversion or None,
        "first_seen": iso(line.first_seen),
        "last_seen": iso(line.last_seen),
    }
