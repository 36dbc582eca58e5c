"""The answers of the JSON API, the command line and the slash command, from one place so that they never disagree.

Every answer is JSON-able and carries `as_of` (ISO 8601) and `coverage`. Lists are `{"items": […], "next_cursor": …}`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bot.edge_detail import EdgeDetail
from bot.enrich.about import about, known_as, owner_json
from bot.enrich.blast import Dependent, blast_radius, owners_to_notify
from bot.enrich.coverage import coverage, coverage_json
from bot.enrich.grounds import Ways, service_grounds
from bot.enrich.health import Rates, failing_services, service_rates
from bot.enrich.paging import page
from bot.enrich.recent_changes import changes_around
from bot.enrich.view import MapView
from bot.graph.sighting import Sighted
from bot.graph.walk import EdgeFilter, dependencies, paths
from bot.model import EdgeKey, Kind, Layer
from bot.moments import iso
from bot.names import MAX_ID
from bot.near_names import close_matches

MAX_LIMIT = 1_000
MAX_PATH_HOPS = 8
_NOTHING_MORE = EdgeDetail()
Json = dict[str, Any]
APPLICATION, WORKLOAD = LEVELS = ("application", "workload")
"""Levels of the map: services as they name themselves, and the workloads they run on (`bot.enrich.workload_answers`)."""


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters every answer understands. `layers` empty means all; `hidden` shows self-calls and faded edges too."""

    depth: int | None = None
    limit: int = 100
    cursor: str = ""
    layers: frozenset[Layer] = frozenset()
    tier: str = ""
    domain: str = ""
    owner: str = ""
    environment: str = ""
    min_confidence: float | None = None
    hidden: bool = False
    level: str = APPLICATION

    @property
    def reaches_hidden(self) -> bool:
        """Whether what is hidden by default is wanted: asked for, or a confidence is named that decides instead."""
        return self.hidden or self.min_confidence is not None

    @property
    def scoped(self) -> bool:
        """Whether only services of some tier, domain, owner or environment are wanted."""
        return bool(self.tier or self.domain or self.owner or self.environment)


def services(view: MapView, now: float, query: Query, text: str = "") -> Json:
    """All services by id; `text` keeps those with it in their id, `suggestions` are the closest names where none has."""
    wanted = text.strip().lower()
    ids = sorted(service for service in view.graph.services() if wanted in service)
    kept = [service for service in ids if in_scope(view, service, query)] if query.scoped else ids
    failing = failing_services(view, now)
    found = _listing(view, kept, now, query, lambda one: _found(view, one, failing, now), ordered=True)
    # Who looks for a name that nobody has gets the names that look like it.
    near = close_matches(wanted[:MAX_ID], view.graph.services()) if wanted and not ids else ()
    return found | {"suggestions": list(near)}


def service(view: MapView, identifier: str, now: float, query: Query) -> Json:
    """One service: what it is, how it does, who calls it and whom it calls, edge by edge."""
    failing = failing_services(view, now)
    rates = service_rates(view, identifier, now, view.firing.get(identifier))
    usable = usable_edges(view, now, query)

    def shown(caller: str, callee: str) -> bool:
        return (query.hidden or caller != callee) and (usable is None or usable(caller, callee))

    graph, every = view.graph, query.reaches_hidden
    callers = [
        one
        for one in sorted(graph.callers(identifier) if every else graph.shown_callers(identifier))
        if shown(one, identifier) and (every or one not in graph.background)
    ]
    callees = [
        one
        for one in sorted(graph.callees(identifier) if every else graph.shown_callees(identifier))
        if shown(identifier, one) and (every or one not in graph.background)
    ]
    found = summary(view, identifier, failing) | {
        "rates": rates_json(rates),
        "callers": [edge(view, one, identifier, now) for one in callers[: query.limit]],
        "callees": [edge(view, identifier, one, now) for one in callees[: query.limit]],
        "callers_total": len(callers),
        "callees_total": len(callees),
        "changes": changes_around(view, identifier, now, view.firing.get(identifier), failing),
    }
    return found | about(view, identifier, now) | frame(view, {identifier, *callers, *callees}, now)


def owner(view: MapView, text: str, now: float) -> Json:
    """Who owns a service and what else is known of it, with sources. Raises NotFound where neither map nor catalogue has it."""
    identifier = known_as(view, text)
    on_map = identifier in view.graph
    found: Json = {"id": identifier, "on_map": on_map} | about(view, identifier, now)
    return found | frame(view, {identifier} if on_map else (), now)


def dependents(view: MapView, identifier: str, now: float, query: Query, others: Sequence[str] = ()) -> Json:
    """The blast radius of one service, ranked; `others` fail with it (maintenance). `owners` are those to tell."""
    roots = list(dict.fromkeys((identifier, *others)))
    radius = blast_radius(view, roots, now, query.depth, usable_edges(view, now, query), hidden=query.reaches_hidden)
    kept = [one for one in radius.ranked if in_scope(view, one, query)] if query.scoped else radius.ranked
    ways = Ways(view, now)
    answer = _listing(view, kept, now, query, lambda one: _dependent(radius.describe(one), ways))
    return answer | {
        "id": identifier,
        "with": roots[1:],
        "owners": [{"owner": owner_json(owner), "services": count} for owner, count in owners_to_notify(radius)],
        "hit": len(radius.hit),
        "at_risk": len(radius.at_risk),
        "truncated": radius.truncated,
    }


def dependencies_of(view: MapView, identifier: str, now: float, query: Query) -> Json:
    """What one service needs, nearest first; `state` is `failing` or `ok`."""
    reach = dependencies(
        view.graph, [identifier], query.depth, usable_edges(view, now, query), hidden=query.reaches_hidden
    )
    failing, ways = failing_services(view, now), Ways(view, now)
    kept = [one for one in reach.found if not query.scoped or in_scope(view, one, query)]

    def item(one: str) -> Json:
        # The walk leads back to the start; an answer's path runs along the calls, so it is turned round.
        path = list(reversed(reach.path(one)))
        return {"id": one, "hops": reach.found[one], "path": path, "state": "failing" if one in failing else "ok",
                "kind": view.graph.node(one).kind.value} | ways.grounds(path)  # fmt: skip

    return _listing(view, kept, now, query, item) | {"id": identifier, "truncated": reach.truncated}


def path(view: MapView, caller: str, callee: str, now: float, query: Query) -> Json:
    """Call paths from one service to another, shortest first; `items` is empty where there is none."""
    usable = usable_edges(view, now, query)
    found = paths(
        view.graph,
        caller,
        callee,
        min(query.limit, 20),
        min(query.depth or MAX_PATH_HOPS, MAX_PATH_HOPS),
        usable,
        hidden=query.reaches_hidden,
    )
    ways = Ways(view, now)
    items = [
        {
            "path": list(one),
            "hops": len(one) - 1,
            "edges": [edge(view, *ends, now) for ends in pairwise(one)],
        }
        | ways.grounds(one)
        for one in found
    ]
    on_the_way = {service for one in found for service in one}
    return {"from": caller, "to": callee, "items": items, "next_cursor": None} | frame(view, on_the_way, now)


def edge(view: MapView, caller: str, callee: str, now: float) -> Json:
    """One edge with each layer's own numbers side by side (counts over the last hour)."""
    graph = view.graph
    parts = graph.layers(caller, callee)
    layers, via = {}, set()
    for layer, seen in sorted(parts.items()):
        detail = graph.detail(layer, caller, callee) or _NOTHING_MORE
        via |= detail.via
        layers[layer.value] = _part(view, layer, (caller, callee), seen, detail, now)
    return {
        "caller": caller,
        "callee": callee,
        "layers": layers,
        "confidence": round(graph.confidence(caller, callee, now), 3),
        "confidence_reasons": graph.reasons(caller, callee, now),
        "freshness": graph.freshness(caller, callee, now),
        "estimated": all(seen.certainty < 1.0 for seen in parts.values()),
        "via": [list(chain) for chain in sorted(via)],
        "first_seen": iso(min(seen.first_seen for seen in parts.values())),
        "last_seen": iso(max(seen.last_seen for seen in parts.values())),
    }


def _part(view: MapView, layer: Layer, edge: EdgeKey, seen: Sighted, detail: EdgeDetail, now: float) -> Json:
    part: Json = {
        "first_seen": iso(seen.first_seen),
        "last_seen": iso(seen.last_seen),
        "freshness": seen.freshness(now),
        "interval_seconds": round(seen.interval),
        "protocols": sorted(detail.protocols),
        "endpoints": {name: round(calls, 2) for name, calls in sorted(detail.endpoints.items())},
        "how": detail.how,
        "certainty": round(detail.certainty, 3),
    }
    if (windows := view.windows.get(layer)) is not None:
        counts = windows.sum(edge, now - 3_600, now + 60)
        part |= {
            "calls": round(counts.calls, 2),
            "errors": round(counts.errors, 2),
            "bytes": round(counts.bytes),
            "sampled": counts.sampled,
            "latency_ms": {name: counts.quantile_ms(q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
        }
    return part


# -- parts -----------------------------------------------------------------------------------------------------------


def frame(view: MapView, concerned: Collection[str], now: float) -> Json:
    """What every answer carries: when it was made, and how complete it is."""
    return {"as_of": iso(now), "coverage": coverage_json(coverage(view, concerned, now))}


def _listing(
    view: MapView,
    found: Sequence[str],
    now: float,
    query: Query,
    item: Callable[[str], Json],
    *,
    ordered: bool = False,
) -> Json:
    items, next_cursor = page(found, query.limit, query.cursor, ordered=ordered)
    return {"items": [item(one) for one in items], "total": len(found), "next_cursor": next_cursor} | frame(
        view, found, now
    )


def usable_edges(view: MapView, now: float, query: Query) -> EdgeFilter | None:
    """Which edges a walk may use; None where it may use all, which is much faster."""
    graph = view.graph
    if not query.layers and query.min_confidence is None:
        return None

    def usable(caller: str, callee: str) -> bool:
        if query.layers and not query.layers & graph.layers(caller, callee).keys():
            return False
        return query.min_confidence is None or graph.confidence(caller, callee, now) >= query.min_confidence

    return usable


def in_scope(view: MapView, identifier: str, query: Query) -> bool:
    """Whether a service is one of those the query is about."""
    if query.environment and view.graph.node(identifier).environment != query.environment.lower():
        return False
    if not (query.tier or query.domain or query.owner):
        return True
    entry = view.entry(identifier)
    if entry is None or query.tier not in ("", entry.tier) or query.domain not in ("", entry.domain):
        return False
    owner = entry.owner
    return not query.owner or (owner is not None and query.owner.lower() in (owner.team.lower(), owner.slack.lower()))


def summary(view: MapView, identifier: str, failing: dict[str, str]) -> Json:
    """One service in a list."""
    node, entry = view.graph.node(identifier), view.entry(identifier)
    return {
        "id": identifier,
        "name": node.name,
        "namespace": node.namespace,
        "environment": node.environment,
        "kind": node.kind.value,
        "state": "failing" if identifier in failing else "ok",
        "why": failing.get(identifier, ""),
        "entry_point": node.kind is Kind.SERVICE and view.is_entry_point(identifier),
        "tier": entry.tier if entry else "",
        "domain": entry.domain if entry else "",
        "owner": owner_json(entry.owner) if entry else None,
        "runbook": entry.runbook if entry else "",
        "last_seen": iso(view.graph.last_seen(identifier)),
    }


def _found(view: MapView, identifier: str, failing: dict[str, str], now: float) -> Json:
    return summary(view, identifier, failing) | service_grounds(view, identifier, now)


def rates_json(rates: Rates) -> Json:
    """How a service does, now and usually."""
    return {
        "calls": round(rates.calls, 1),
        "error_rate": round(rates.error_rate, 5) if rates.calls else None,
        "usual_error_rate": _rounded(rates.usual_error_rate, 5),
        "p95_ms": rates.p95_ms,
        "usual_p95_ms": rates.usual_p95_ms,
    }


def _dependent(one: Dependent, ways: Ways) -> Json:
    return ways.grounds(one.path) | {
        "id": one.id,
        "hops": one.hops,
        "path": list(one.path),
        "share": one.share,
        "state": one.state,
        "why": one.why,
        "asynchronous": one.asynchronous,
        "entry_point": one.entry_point,
        "tier": one.tier,
        "domain": one.domain,
        "owner": owner_json(one.owner),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
