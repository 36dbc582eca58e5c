"""What changed of a service and of what it needs lately: what others told of, and what the map itself saw.

Comes in: a view and its `now`. Goes out: `Change`s, or their JSON, newest first. What is lost: what is older than the view's log of
changes, and what the map saw beyond the first edges of a hub.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bot.enrich.view import MapView
from bot.graph.walk import dependencies
from bot.model import PSEUDO, Change, ChangeKind, EdgeKey
from bot.moments import age, iso

MAP = "map"
"""The source of changes that the map saw by itself."""

MAX_NEAR = 20
MAX_DEPENDENCIES = 300
_SPAN_SECONDS = 86_400.0
MAX_EDGES = 1_000
"""Looked at for one answer: some milliseconds. A hub may have ten times as many callers."""
_HEARD_SECONDS = 300.0
_SETTLED_SECONDS = 3_600.0
_TITLE_SHOWN, _AUTHOR_SHOWN = 100, 40


def changes_around(
    view: MapView, service: str, now: float, onset: float | None = None, suspects: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The changes of a service and of what it needs during the day before `now`, told of or seen, as JSON: those on the path
    first, then the latest first.

    `onset` (epoch s) is when its trouble began, if it is in any; `suspects` are services that may be why. On the path are the
    service and whatever lies between it and one of them; where there is no trouble, nothing is. What the map saw is looked for
    there only, and at the service.
    """
    needed = dependencies(view.graph, [service], limit=MAX_DEPENDENCIES)
    path = {one for suspect in suspects if suspect in needed.found for one in needed.path(suspect)}
    if path or onset is not None or service in suspects:
        path.add(service)
    since = now - _SPAN_SECONDS
    hops = {service: 0, **needed.found}
    seen = [
        (one, one.service)
        for one in recent_map_changes(view, [one for one in hops if one == service or one in path], since, now)
    ]
    # Told of a name without its environment, it is a change of all that are called so; the nearest has it.
    told = {one: whose for whose in reversed(hops) for one in view.changes.of(whose, since, now)}
    found = sorted([*seen, *told.items()], key=lambda one: (one[1] not in path, -one[0].at, one[0].id))
    return [
        change_json(one)
        | {
            "hops": hops[whose],
            "on_path": whose in path,
            "age_seconds": round(now - one.at),
            "seconds_before": None if onset is None else round(onset - one.at),
        }
        for one, whose in found[:MAX_NEAR]
    ]


def change_line(item: Mapping[str, Any]) -> str:
    """One of them in words: `deploy payments: v42 · 7 min before · on the path`; of no trouble, `7 min ago`."""
    what = _cut(item["title"].removeprefix(f"{item['kind']} "), _TITLE_SHOWN)
    whose = item["service"] if item["kind"] == ChangeKind.OTHER else f"{item['kind']} {item['service']}"
    author = f" by {_cut(item['author'], _AUTHOR_SHOWN)}" if item["author"] else ""
    return f"{whose}: {what}{author} · {_when(item)}{' · on the path' if item['on_path'] else ''}"


def _when(item: Mapping[str, Any]) -> str:
    before = item["seconds_before"]
    if before is None:
        return f"{age(item['age_seconds'])} ago"
    return f"{age(abs(before))} {'before' if before >= 0 else 'after'}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def change_json(change: Change) -> dict[str, Any]:
    """A change as the API has it."""
    return {
        "at": iso(change.at),
        "service": change.service,
        "kind": change.kind.value,
        "title": change.title,
        "link": change.link,
        "author": change.author,
        "source": change.source,
        "id": change.id,
    }


def recent_map_changes(view: MapView, services: Collection[str], since: float, now: float) -> tuple[Change, ...]:
    """Dependencies of these services that are new or gone since `since` (epoch s), oldest first, each once.

    New on the map is new in the world only where the service was known for an hour before; a service that is new itself, or a
    map that is, gives none. Gone is what is stale by its own habit while a layer that had seen it is still heard.
    """
    found = _map_changes(view, services, since, now)
    return tuple(sorted(found.values(), key=lambda one: (one.at, one.id)))


def changed_edges(view: MapView, services: Collection[str], now: float) -> dict[EdgeKey, str]:
    """The same of the day before `now`, edge by edge: `new` or `gone`."""
    found = _map_changes(view, services, now - _SPAN_SECONDS, now)
    return {edge: change.id.partition(":")[0] for edge, change in found.items()}


def _map_changes(view: MapView, services: Collection[str], since: float, now: float) -> dict[EdgeKey, Change]:
    found: dict[EdgeKey, Change] = {}
    room = MAX_EDGES
    for service in dict.fromkeys(services):
        if service not in view.graph:
            continue
        ends = _ends(view, service)[:room]
        room -= len(ends)
        edges = _edges(view, ends)
        settled = min((first for first, _ in edges.values()), default=now) + _SETTLED_SECONDS
        for edge, (first, last) in edges.items():
            if edge in found:
                continue
            if first >= max(since, settled):
                found[edge] = _seen(service, edge, first, "new")
            elif last >= since and _gone(view, edge, now):
                found[edge] = _seen(service, edge, last, "gone")
    return found


def _ends(view: MapView, service: str) -> list[EdgeKey]:
    """The edges of a service: whom it calls first, since that is its own doing."""
    callees, callers = sorted(view.graph.callees(service)), sorted(view.graph.callers(service))
    return [*((service, one) for one in callees), *((one, service) for one in callers)]


def _edges(view: MapView, edges: Sequence[EdgeKey]) -> dict[EdgeKey, tuple[float, float]]:
    """Those of the edges that are shown or were, with when they were first and last seen by any layer."""
    graph = view.graph
    found = {}
    for edge in edges:
        parts = [seen for seen in graph.layers(*edge).values() if seen.certainty >= 1.0]
        hidden = edge[0] == edge[1] or not PSEUDO.isdisjoint(edge) or not graph.background.isdisjoint(edge)
        if parts and not hidden:
            found[edge] = (min(one.first_seen for one in parts), max(one.last_seen for one in parts))
    return found


def _gone(view: MapView, edge: EdgeKey, now: float) -> bool:
    heard = any(now - view.heard.get(layer, 0.0) <= _HEARD_SECONDS for layer in view.graph.layers(*edge))
    return heard and view.graph.freshness(*edge, now) == "stale"


def _seen(service: str, edge: EdgeKey, at: float, what: str) -> Change:
    caller, callee = edge
    if what == "new":
        title = f"calls {callee} for the first time" if service == caller else f"called by {caller} for the first time"
    else:
        title = f"stopped calling {callee}" if service == caller else f"no longer called by {caller}"
    return Change(at, service, ChangeKind.OTHER, title, MAP, f"{what}:{caller}>{callee}")
