"""Edges between services on certain workloads -> edges between services, with what is known of the workloads beside them.

Comes in: a delta whose edges may have ends like `names.on_workload` makes them, so that the loops that fold need not know of
workloads. Goes out: the same delta between service ids alone, whose details count calls by pair of workloads. Pure.
"""

from __future__ import annotations

from bot import names
from bot.edge_detail import EdgeDetail
from bot.model import PSEUDO, EdgeKey, LayerDelta

_ZERO = 1e-6


def tell_apart(delta: LayerDelta, described: dict[EdgeKey, EdgeDetail] | None = None) -> None:
    """Bring every count of a delta under its services. `described`: what the layer has said of edges, which a detail that only
    has workloads must not take back."""
    known = described or {}
    for minute, edges in delta.windows.items():
        for seen in [edge for edge in edges if names.has_workload(edge[0]) or names.has_workload(edge[1])]:
            (caller, mine), (callee, theirs) = names.off_workload(seen[0]), names.off_workload(seen[1])
            tally, edge = edges.pop(seen), (caller, callee)
            if edge in edges:
                edges[edge].add(tally)
            else:
                edges[edge] = tally
            if caller in PSEUDO or abs(tally.calls) < _ZERO:
                continue
            detail = delta.details.get(edge)
            if detail is None:
                detail = delta.details[edge] = EdgeDetail()
                if (said := known.get(edge)) is not None:
                    detail.certainty, detail.how = said.certainty, said.how
            detail.count_workloads((mine, theirs), tally.calls, minute)
