"""What changed of a service lately: what others told of, and what the map itself saw.

Comes in: a view and its `now`. Goes out: `Change`s, or their JSON, newest first. What is lost: what is older than the view's log of
changes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bot.changes.log import KEPT_SECONDS
from bot.enrich.view import MapView
from bot.model import PSEUDO, Change, ChangeKind, EdgeKey
from bot.moments import iso

MAP = "map"
"""The source of changes that the map saw by itself."""

MAX_NEAR = 20
_MAX_EDGES = 2_000
_HEARD_SECONDS = 300.0


def changes_near(view: MapView, service: str, now: float) -> list[dict[str, Any]]:
    """The latest changes of a service during the day before `now`, told of or seen, as JSON."""
    since = now - KEPT_SECONDS
    found = [*view.changes.of(service, since, now), *recent_map_changes(view, [service], since, now)]
    return [change_json(one) for one in sorted(found, key=lambda one: (-one.at, one.id))[:MAX_NEAR]]


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

    New on the map is new in the world only where the service was known before; a service that is new itself, or a map that is,
    gives none. Gone is what is stale by its own habit while a layer that had seen it is still heard.
    """
    found: dict[EdgeKey, Change] = {}
    for service in dict.fromkeys(services):
        if service not in view.graph:
            continue
        edges = _edges(view, service)
        if not edges or min(first for first, _ in edges.values()) >= since:
            continue
        for edge, (first, last) in edges.items():
            if edge in found:
                continue
            if first >= since:
                found[edge] = _seen(service, edge, first, "new")
            elif last >= since and _gone(view, edge, now):
                found[edge] = _seen(service, edge, last, "gone")
    return tuple(sorted(found.values(), key=lambda one: (one.at, one.id)))


def _edges(view: MapView, service: str) -> dict[EdgeKey, tuple[float, float]]:
    """The service's edges that are shown or were, with when they were first and last seen by any layer."""
    graph = view.graph
    ends = [(caller, service) for caller in graph.callers(service)] + [(service, one) for one in graph.callees(service)]
    found = {}
    for edge in ends[:_MAX_EDGES]:
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
