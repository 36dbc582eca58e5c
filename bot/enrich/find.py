"""Services by whatever somebody types of their name: the one he means first. Pure."""

from __future__ import annotations

from bot import names
from bot.enrich.view import MapView
from bot.near_names import close_matches

FOUND = 8


def find(view: MapView, text: str, limit: int = FOUND) -> list[str]:
    """Ids, best first: called exactly so, by name or alias; beginning so; with it inside; and then what looks like it."""
    wanted = names.clean(text)
    if not wanted:
        return []
    graph = view.graph
    exact = graph.names.find(wanted)
    found = dict.fromkeys([exact] if exact is not None else [])
    containing = sorted(
        (one for one in graph.services() if wanted in one),
        key=lambda one: (not one.startswith(wanted), -len(graph.callers(one)), len(one), one),
    )
    found.update(dict.fromkeys(containing[:limit]))
    if len(found) < limit:
        found.update(dict.fromkeys(close_matches(wanted, graph.services(), limit)))
    return list(found)[:limit]
