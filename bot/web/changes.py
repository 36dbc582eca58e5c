"""GET `/api/v1/changes`: change events from the database, newest first."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bot.enrich import answers
from bot.enrich.answers import Query
from bot.enrich.paging import read_cursor, write_cursor
from bot.enrich.recent_changes import change_json
from bot.enrich.view import MapView
from bot.errors import BadRequest, NotFound
from bot.moments import iso
from bot.names import bare, clean
from bot.storage.change_store import ChangeStore
from bot.web import parameters

_DAY = 86_400.0
_MAX_SERVICES = 50


async def change_events(view: MapView, store: ChangeStore, given: Mapping[str, str], query: Query) -> dict[str, Any]:
    """The changes of `service` (all where none is named) between `from` and `to` (a day before the other; now).

    A change may have been told of before its service was on the map, so a name that is not there is asked for as it is. Raises
    BadRequest for a parameter that is wrong, Ambiguous for a name that several services have.
    """
    now = time.time()
    since, until = parameters.moment(given, "from", now), parameters.moment(given, "to", now)
    until = now if until is None else until
    since = until - _DAY if since is None else since
    if since >= until:
        raise BadRequest("from has to lie before to")
    named = [one.strip() for one in given.get("service", "").split(",") if one.strip()][:_MAX_SERVICES]
    services = [_known(view, one) for one in named]
    # One that was told of without an environment concerns the service in all of them.
    ids = sorted({name for one in services for name in (one, bare(one))})
    found = await store.page(ids, since, until, query.limit + 1, _place(query.cursor) if query.cursor else None)
    items = found[: query.limit]
    last = items[-1] if len(found) > query.limit else None
    return {
        "from": iso(since),
        "to": iso(until),
        "items": [change_json(one.change) for one in items],
        "next_cursor": None if last is None else write_cursor(last.number, repr(last.change.at)),
    } | answers.frame(view, [one for one in services if one in view.graph], now)


def _known(view: MapView, text: str) -> str:
    try:
        return view.graph.names.resolve(text)
    except NotFound as error:
        if error.status != NotFound.status:  # several are called so
            raise
        return view.graph.names.placed(clean(text))


def _place(cursor: str) -> tuple[float, int]:
    number, at = read_cursor(cursor)
    try:
        return float(at), number
    except ValueError:
        raise BadRequest("cursor: not one that an earlier answer gave") from None
