"""The map itself as an answer: all of it or what lies around some services, a page of edges at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from bot.enrich.answers import Json, Query, edge, frame, in_scope, summary, usable_edges
from bot.enrich.coverage import coverage, coverage_json
from bot.enrich.health import failing_services
from bot.enrich.paging import read_cursor, write_cursor
from bot.enrich.view import MapView
from bot.graph.walk import dependencies, dependents
from bot.layers.windows import Windows
from bot.model import ENTRY, UNATTRIBUTED, EdgeKey

DIRECTIONS = ("callers", "callees", "both")
_TOTALS_SECONDS = 300.0
BETWEEN = "\n"  # no id has a line end


def graph(view: MapView, now: float, query: Query, around: Sequence[str] = (), direction: str = "both") -> Json:
    """`{"nodes":[…],"edges":[…],"next_cursor",…}`: edges by caller and callee, with the nodes they join.

    `around` limits it to what is within reach of these services in `direction`, `query.depth` hops far (1 unless said).
    """
    wanted = _around(view, now, query, around, direction) if around else None
    last = read_cursor(query.cursor)[1] if query.cursor else ""
    pairs = list(islice(edges_after(view, now, query, wanted, last), query.limit + 1))
    more = len(pairs) > query.limit
    del pairs[query.limit :]
    failing = failing_services(view, now)
    ends = sorted({end for pair in pairs for end in pair} | set(around))
    return {
        "nodes": [summary(view, end, failing) for end in ends],
        "edges": [edge(view, *pair, now) for pair in pairs],
        "next_cursor": write_cursor(0, BETWEEN.join(pairs[-1])) if more else None,
    } | frame(view, wanted if wanted is not None else list(view.graph.services()), now)


def edges_after(
    view: MapView, now: float, query: Query, wanted: Collection[str] | None, last: str, *, again: bool = False
) -> Iterator[EdgeKey]:
    """The edges in order, from the one after `last` on, or from `last` itself if `again`: a page looks at no more of the map
    than it shows."""
    graph, usable, everything = view.graph, usable_edges(view, now, query), query.reaches_hidden
    first, _, after = last.partition(BETWEEN)
    for caller in sorted(graph.services() if wanted is None else wanted):
        if caller < first or (caller in graph.background and not everything):
            continue
        for callee in sorted(graph.callees(caller) if everything else graph.shown_callees(caller)):
            passed = callee < after if again else callee <= after
            if (caller == first and passed) or (wanted is not None and callee not in wanted):
                continue
            if not everything and (caller == callee or callee in graph.background):
                continue
            if usable is not None and not usable(caller, callee):
                continue
            if not query.scoped or in_scope(view, caller, query) or in_scope(view, callee, query):
                yield caller, callee


def _around(view: MapView, now: float, query: Query, around: Sequence[str], direction: str) -> set[str]:
    usable, depth = usable_edges(view, now, query), query.depth or 1
    found = set(around)
    if direction != "callees":
        found |= dependents(view.graph, around, depth, usable, hidden=query.reaches_hidden).found.keys()
    if direction != "callers":
        found |= dependencies(view.graph, around, depth, usable, hidden=query.reaches_hidden).found.keys()
    return found


def map_coverage(view: MapView, now: float, services: Sequence[str]) -> Json:
    """How complete the map is around `services`, or all of it: per layer its age and sampling, what nobody could attribute."""
    found = coverage_json(coverage(view, services or list(view.graph.services()), now))
    for layer, windows in view.windows.items():
        if layer.value in found["layers"] and isinstance(windows, Windows):
            found["layers"][layer.value] |= windows.totals(now - _TOTALS_SECONDS, now + 60, (UNATTRIBUTED, ENTRY))
    return {"as_of": frame(view, (), now)["as_of"], "coverage": found}
