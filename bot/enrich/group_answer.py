"""The map from afar: services by domain or by team, how each group does, and the calls between groups. Pure.

Comes in: a view, and its edges a slice at a time, for a big map has many. Goes out: an answer. Calls are those of the minutes in memory
(an hour), from the layer that counts best.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from bot.enrich.answers import Json, frame, summary
from bot.enrich.health import failing_services
from bot.enrich.view import COUNTING_LAYERS, MapView
from bot.model import EdgeKey

BY = ("domain", "team")
SLICE = 2_000
_FAILING_NAMED = 5


@dataclass(slots=True)
class _Group:
    services: int = 0
    failing: list[str] = field(default_factory=list)
    inside: float = 0.0


class GroupFold:
    """Adds up one answer. `by` is one of `BY`; services of which nobody says it are the group ''."""

    def __init__(self, view: MapView, by: str, now: float) -> None:
        self._view, self._by, self._now = view, by, now
        failing = failing_services(view, now)
        self._groups: dict[str, _Group] = {}
        self._of: dict[str, str] = {}
        self._calls: dict[EdgeKey, tuple[int, float]] = {}
        for service in view.graph.services():
            name = self._of[service] = group_of(view, service, by)
            group = self._groups.setdefault(name, _Group())
            group.services += 1
            if service in failing:
                group.failing.append(service)

    def add(self, edges: Iterable[EdgeKey]) -> None:
        """Take in some of the map's edges, each once in all."""
        windows = [self._view.windows[layer] for layer in COUNTING_LAYERS if layer in self._view.windows]
        of, background = self._of, self._view.graph.background
        for edge in edges:
            caller, callee = edge
            if caller not in of or callee not in of or caller in background or callee in background:
                continue
            calls = next((counted for one in windows if (counted := one.calls(edge)) > 0), 0.0)
            ends = of[caller], of[callee]
            if ends[0] == ends[1]:
                self._groups[ends[0]].inside += calls
                continue
            pairs, so_far = self._calls.get(ends, (0, 0.0))
            self._calls[ends] = pairs + 1, so_far + calls

    def answer(self) -> Json:
        """Groups, those in trouble first, then the biggest; and the calls between them, the most first."""
        order = sorted(
            self._groups.items(), key=lambda one: (-len(one[1].failing), one[0] == "", -one[1].services, one[0])
        )
        between = sorted(self._calls.items(), key=lambda one: (-one[1][1], -one[1][0], one[0]))
        return {
            "by": self._by,
            "items": [
                {"name": name, "services": group.services, "failing": len(group.failing),
                 "failing_services": sorted(group.failing)[:_FAILING_NAMED], "calls_inside": round(group.inside, 1)}
                for name, group in order
            ],
            "calls": [
                {"caller": caller, "callee": callee, "edges": pairs, "calls": round(calls, 1)}
                for (caller, callee), (pairs, calls) in between
            ],
        } | frame(self._view, self._of, self._now)  # fmt: skip


def edge_slices(view: MapView) -> Iterator[list[EdgeKey]]:
    """All edges that are shown, a slice at a time; the map may change between two of them."""
    graph = view.graph
    rest = iter(
        [(caller, callee) for caller, callee, _ in graph.edges() if graph.all_shown or graph.shown(caller, callee)]
    )
    while part := list(islice(rest, SLICE)):
        yield part


def group_of(view: MapView, service: str, by: str) -> str:
    """The domain or team of a service; '' where nobody says."""
    entry = view.entry(service)
    if entry is None:
        return ""
    return entry.domain if by == "domain" else entry.owner.team if entry.owner is not None else ""


def members(view: MapView, now: float, by: str, name: str, limit: int) -> Json:
    """The services of one group, those that fail first: `total` of them, `limit` of those described, and the calls among these."""
    failing = failing_services(view, now)
    found = [one for one in view.graph.services() if group_of(view, one, by) == name]
    found.sort(key=lambda one: (one not in failing, -len(view.graph.callers(one)) - len(view.graph.callees(one)), one))
    kept = found[:limit]
    among = [
        (caller, callee) for caller in kept for callee in kept
        if caller != callee and callee in view.graph.callees(caller) and view.graph.shown(caller, callee)
    ]  # fmt: skip
    items = [summary(view, one, failing) for one in kept]
    return {"by": by, "name": name, "items": items, "total": len(found), "calls": among} | frame(view, found, now)
