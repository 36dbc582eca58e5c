"""Who owns a service. Never silently nobody: without an owner, the nearest owned dependent is named."""

from __future__ import annotations

from dataclasses import dataclass

from bot.enrich.view import MapView
from bot.graph.walk import dependents
from bot.model import Owner

_NEAREST_HOPS = 3
_NEAREST_LOOKED_AT = 300


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owner of `service`; where there is none, `nearest` is the closest dependent that has one, with that owner."""

    service: str
    owner: Owner | None
    nearest: tuple[str, Owner] | None = None


def ownership(view: MapView, service: str) -> Ownership:
    """Who to call about a service. Works for names the map has not met, too."""
    entry = view.entry(service)
    if entry is not None and entry.owner is not None:
        return Ownership(service, entry.owner)
    if service in view.graph and view.catalog.entries:
        for other in dependents(view.graph, [service], _NEAREST_HOPS, limit=_NEAREST_LOOKED_AT).found:
            entry = view.entry(other)
            if entry is not None and entry.owner is not None:
                return Ownership(service, None, (other, entry.owner))
    return Ownership(service, None)
