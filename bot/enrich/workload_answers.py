"""The same answers one level down, as `level=workload` asks for them: workloads where a source knows them, else the application.

Comes in: a map and a query. Goes out: JSON-able answers like those of `bot.enrich.answers`. A node's id is `service/workload`, or
the service id where nobody knows the workload; `unknown` lists the edges of which no workload is known. Owners, tiers, states and
confidence are the application's: they are not known by workload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from bot.edge_detail import OTHER_PAIR, WorkloadPair
from bot.enrich.about import about, owner_json
from bot.enrich.answers import Json, Query, frame, in_scope, summary, usable_edges
from bot.enrich.graph_answer import BETWEEN, edges_after
from bot.enrich.health import failing_services
from bot.enrich.paging import page, read_cursor, write_cursor
from bot.enrich.view import MapView
from bot.graph.workload_names import Place
from bot.graph.workloads import far_ends, find, of_service, pairs, reach, same
from bot.model import WINDOW_SECONDS, EdgeKey, Kind
from bot.moments import iso

MAX_UNKNOWN = 100
"""Edges that `unknown` lists; `unknown_total` counts all of them."""
_ANY: WorkloadPair = ("", "")


class WorkloadEdge(NamedTuple):
    """An edge between two workloads; `pair` has "" for an end nobody knows."""

    edge: EdgeKey
    pair: WorkloadPair

    @property
    def places(self) -> tuple[Place, Place]:
        """Its two ends."""
        return (self.edge[0], self.pair[0]), (self.edge[1], self.pair[1])


def spelled(place: Place) -> str:
    """A place as answers name it: `service/workload`, or the service where nobody knows the workload."""
    return f"{place[0]}/{place[1]}" if place[1] else place[0]


def service(view: MapView, text: str, now: float, query: Query) -> Json:
    """One service, or one workload: who calls it and whom it calls, workload by workload. Raises NotFound, Ambiguous."""
    identifier, workload = find(view.graph, text)
    usable, graph, every = usable_edges(view, now, query), view.graph, query.reaches_hidden
    found: dict[str, list[WorkloadEdge]] = {"callers": [], "callees": []}
    for side, others in (
        ("callers", graph.callers(identifier) if every else graph.shown_callers(identifier)),
        ("callees", graph.callees(identifier) if every else graph.shown_callees(identifier)),
    ):
        near = int(side == "callers")
        for other in sorted(others):
            edge = (other, identifier) if near else (identifier, other)
            if (usable is not None and not usable(*edge)) or (not every and other in {identifier, *graph.background}):
                continue
            ends = far_ends(graph, edge, workload, near, query.layers) if workload else None
            found[side] += [
                one for one in _split(view, edge, query) if ends is None or _touches(one, workload, near, ends)
            ]
    concerned = {end for edges in found.values() for one in edges for end in one.edge} | {identifier}
    answer = summary(view, identifier, failing_services(view, now)) | {
        "id": spelled((identifier, workload)),
        "application": identifier,
        "level": "workload",
        "workload": workload,
        "workloads": of_service(graph, identifier),
    }
    for side, edges in found.items():
        answer |= {
            side: [_edge(view, one, now, query) for one in edges[: query.limit]],
            f"{side}_total": len(edges),
        }
    unknown = _unknown(one for edges in found.values() for one in edges)
    return answer | unknown | about(view, identifier, now) | frame(view, concerned, now)


def dependents(view: MapView, text: str, now: float, query: Query, others: Sequence[str] = ()) -> Json:
    """Who needs a service or a workload, nearest first, by name within a hop; `others` fail with it. `owners` are those of the
    services, each service counted once."""
    answer, kept = _reached(view, [text, *others], now, query, inward=True)
    services = {identifier: None for identifier, _ in kept}
    failing = failing_services(view, now)
    hit = sum(identifier in failing for identifier, _ in kept)
    owned = [entry.owner for one in services if (entry := view.entry(one)) is not None and entry.owner is not None]
    return answer | {
        "with": [spelled(find(view.graph, one)) for one in others],
        "owners": [{"owner": owner_json(owner), "services": count} for owner, count in Counter(owned).items()],
        "hit": hit,
        "at_risk": len(kept) - hit,
    }


def dependencies_of(view: MapView, text: str, now: float, query: Query) -> Json:
    """What a service or a workload needs, nearest first."""
    return _reached(view, [text], now, query, inward=False)[0]


def _reached(
    view: MapView, texts: Sequence[str], now: float, query: Query, *, inward: bool
) -> tuple[Json, Sequence[Place]]:
    """(a page of what is within reach, all of it)."""
    starts = list(dict.fromkeys(find(view.graph, one) for one in texts))
    reached = reach(
        view.graph,
        starts,
        inward=inward,
        depth=query.depth,
        usable=usable_edges(view, now, query),
        layers=query.layers,
        hidden=query.reaches_hidden,
    )
    kept = [one for one in reached.found if not query.scoped or in_scope(view, one[0], query)]
    failing = failing_services(view, now)
    items, next_cursor = page([BETWEEN.join(one) for one in kept], query.limit, query.cursor, ordered=False)

    def item(key: str) -> Json:
        identifier, _, workload = key.partition(BETWEEN)
        place, entry = (identifier, workload), view.entry(identifier)
        # The walk leads back to the start; an answer's path runs along the calls.
        path = reached.path(place) if inward else reached.path(place)[::-1]
        state = ("hit", "at_risk") if inward else ("failing", "ok")
        return {
            "id": spelled(place), "application": identifier, "workload": workload, "hops": reached.found[place],
            "path": [spelled(one) for one in path], "state": state[identifier not in failing],
            "kind": view.graph.node(identifier).kind.value, "entry_point": view.is_entry_point(identifier),
            "asynchronous": any(view.graph.node(one).kind is Kind.QUEUE for one, _ in path), "tier": entry.tier if entry else "",
            "domain": entry.domain if entry else "", "owner": owner_json(entry.owner) if entry else None,
        }  # fmt: skip

    answer = {
        "id": spelled(starts[0]),
        "level": "workload",
        "items": [item(one) for one in items],
        "total": len(kept),
        "next_cursor": next_cursor,
        "truncated": reached.truncated,
    }
    return answer | frame(view, {identifier for identifier, _ in kept}, now), kept


def graph(view: MapView, now: float, query: Query, around: Sequence[str] = (), direction: str = "both") -> Json:
    """`{"nodes":[…],"edges":[…],"unknown":[…],"next_cursor",…}`: edges between workloads, a page at a time, with their nodes."""
    starts = [find(view.graph, one) for one in around]
    wanted = _around(view, now, query, starts, direction) if around else None
    services = {identifier for identifier, _ in wanted} if wanted is not None else None
    last = read_cursor(query.cursor)[1] if query.cursor else ""
    shown = list(islice(_edges(view, now, query, (services, wanted), last), query.limit + 1))
    more = len(shown) > query.limit
    del shown[query.limit :]
    failing = failing_services(view, now)
    places = sorted({place for one in shown for place in one.places} | set(starts))
    return {
        "level": "workload",
        "nodes": [
            summary(view, identifier, failing)
            | {"id": spelled((identifier, workload)), "application": identifier, "workload": workload}
            for identifier, workload in places
        ],
        "edges": [_edge(view, one, now, query) for one in shown],
        **_unknown(shown),
        "next_cursor": write_cursor(0, _key(shown[-1])) if more else None,
    } | frame(view, services if services is not None else list(view.graph.services()), now)


def _edges(
    view: MapView, now: float, query: Query, wanted: tuple[set[str] | None, Collection[Place] | None], last: str
) -> Iterator[WorkloadEdge]:
    """The edges between workloads in order, from the one after `last` on."""
    services, places = wanted
    after = BETWEEN.join(last.split(BETWEEN)[:2])
    for edge in edges_after(view, now, query, services, after, again=True):
        for one in _split(view, edge, query):
            if BETWEEN.join(edge) == after and _key(one) <= last:
                continue
            # A workload that nobody knows may be one of those that are wanted.
            if places is None or all(not on or (end, on) in places or (end, "") in places for end, on in one.places):
                yield one


def _around(view: MapView, now: float, query: Query, starts: Sequence[Place], direction: str) -> set[Place]:
    found = set(starts)
    for inward, other in ((True, "callees"), (False, "callers")):
        if direction != other:
            found |= reach(
                view.graph, starts, inward=inward, depth=query.depth or 1, usable=usable_edges(view, now, query),
                layers=query.layers, hidden=query.reaches_hidden,
            ).found.keys()  # fmt: skip
    return found


def _split(view: MapView, edge: EdgeKey, query: Query) -> list[WorkloadEdge]:
    """An edge as edges between workloads; the edge itself where no workload is known."""
    known = [_ANY if pair == OTHER_PAIR else pair for pair in pairs(view.graph, *edge, query.layers)]
    return [WorkloadEdge(edge, pair) for pair in sorted(known or [_ANY])]


def _touches(one: WorkloadEdge, workload: str, near: int, ends: Collection[str]) -> bool:
    return one.pair[1 - near] in ends and same(one.pair[near], workload)


def _edge(view: MapView, one: WorkloadEdge, now: float, query: Query) -> Json:
    """An edge between workloads. `calls` are those since the pair was first seen, by layer; confidence and freshness are those
    of the edge between the two applications."""
    graph, (caller, callee) = view.graph, one.edge
    counts = pairs(graph, caller, callee, query.layers).get(OTHER_PAIR if one.pair == _ANY else one.pair, {})
    seen = [part.last_seen for part in graph.layers(caller, callee).values()]
    last = max((last + WINDOW_SECONDS for _, last in counts.values()), default=max(seen))
    return {
        "caller": spelled(one.places[0]),
        "callee": spelled(one.places[1]),
        "caller_application": caller,
        "callee_application": callee,
        "calls": {layer.value: round(calls, 2) for layer, (calls, _) in sorted(counts.items())},
        "confidence": round(graph.confidence(caller, callee, now), 3),
        "freshness": graph.freshness(caller, callee, now),
        "last_seen": iso(min(last, max(seen))),
    }


def _unknown(edges: Iterable[WorkloadEdge]) -> Json:
    """Of which edges no workload is known: shown between the applications."""
    found = sorted({one.edge for one in edges if one.pair == _ANY})
    return {
        "unknown": [{"caller": caller, "callee": callee} for caller, callee in found[:MAX_UNKNOWN]],
        "unknown_total": len(found),
    }


def _key(one: WorkloadEdge) -> str:
    return BETWEEN.join((*one.edge, *one.pair))


def workload_lines(answer: Json) -> list[str]:
    """`service`'s answer as lines for a person."""
    on = answer["workload"] or ", ".join(answer["workloads"]) or "none known"
    lines = [f"{answer['id']} · workloads: {on}"]
    for side, end, title in (("callers", "caller", "Callers"), ("callees", "callee", "Calls")):
        lines.append(f"{title} {answer[f'{side}_total']}:" if answer[side] else f"{title}: none known")
        for edge in answer[side]:
            near = "callee" if end == "caller" else "caller"
            calls = f"  {max(edge['calls'].values()):.0f} calls" if edge["calls"] else ""
            fresh = "" if edge["freshness"] == "fresh" else f", {edge['freshness']}"
            on_near = f" (on {edge[near].partition('/')[2]})" if "/" in edge[near] else ""
            lines.append(f"  {edge[end]}{on_near}{calls}{fresh}")
    if answer["unknown_total"]:
        edges = ", ".join(f"{one['caller']} → {one['callee']}" for one in answer["unknown"][:10])
        lines.append(f"no workload known of {answer['unknown_total']}: {edges}")
    return lines
