"""What matters now: services in trouble with their numbers, those whose alerts fire first. Pure."""

from __future__ import annotations

from bot.enrich.answers import Json, frame, rates_json, summary
from bot.enrich.health import failing_services, service_rates
from bot.enrich.view import MapView

_NO_TIER = "~"


def unhealthy(view: MapView, now: float, limit: int) -> Json:
    """Services that fail more than usual: those that alert first, then by tier, then those with most failed calls."""
    failing = failing_services(view, now)
    known = [one for one in failing if one in view.graph]
    rates = {one: service_rates(view, one, now, view.firing.get(one)) for one in known}

    def order(service: str) -> tuple[bool, str, float, str]:
        entry, found = view.entry(service), rates[service]
        tier = entry.tier if entry is not None and entry.tier else _NO_TIER
        return failing[service] != "alert", tier, -found.calls * found.error_rate, service

    items = [
        summary(view, one, failing) | {"rates": rates_json(rates[one]), "callers": len(view.graph.shown_callers(one))}
        for one in sorted(known, key=order)[:limit]
    ]
    return {
        "items": items,
        "total": len(known),
        "services": view.graph.service_count,
        "edges": view.graph.edge_count,
    } | frame(view, (), now)
