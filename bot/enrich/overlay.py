"""One trace laid over the map: each of its calls beside what the map knows of the same edge. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.enrich import answers
from bot.enrich.coverage import coverage, coverage_json
from bot.enrich.view import MapView
from bot.layers.linker import link
from bot.model import EdgeKey
from bot.moments import iso
from bot.names import off_workload
from bot.telemetry.spans import SpanBatch


@dataclass(frozen=True, slots=True)
class Calls:
    """What a trace says of one edge: how many calls, how many failed, and how long the longest took, in ms."""

    calls: int
    errors: int
    longest_ms: float


def linked(batch: SpanBatch) -> dict[EdgeKey, Calls]:
    """The calls of every trace in `batch` in order of time. Takes as long as the traces are big: for a thread."""
    found: dict[EdgeKey, Calls] = {}
    started: dict[EdgeKey, int] = {}
    for trace_id, spans in batch.traces.items():
        for *ends, minute, failed, duration, _weight in link(spans, trace_id in batch.tangled):
            edge = off_workload(ends[0])[0], off_workload(ends[1])[0]
            so_far = found.get(edge, Calls(0, 0, 0.0))
            longest = max(so_far.longest_ms, duration / 1e6)
            found[edge] = Calls(so_far.calls + 1, so_far.errors + failed, longest)
            started[edge] = min(started.get(edge, minute), minute)
    return {edge: found[edge] for edge in sorted(found, key=lambda edge: (started[edge], edge))}


def overlay(view: MapView, batch: SpanBatch, calls: Mapping[EdgeKey, Calls], now: float) -> dict[str, Any]:
    """The linked `calls` of a batch over the map: `{"traces","spans","items":[{"caller","callee","calls","errors",
    "duration_ms","usual_p95_ms","slower","edge"}…]}`. `edge` is None for a call the map has never seen; a call is `slower`
    where its longest took longer than the edge usually does (p95 of the last hour)."""
    items = [_item(view, edge, found, now) for edge, found in calls.items()]
    return {
        "traces": len(batch.traces),
        "spans": batch.accepted,
        "rejected": batch.rejected,
        "new": sum(item["edge"] is None for item in items),
        "items": items,
        "as_of": iso(now),
        "coverage": coverage_json(coverage(view, {end for edge in calls for end in edge}, now)),
    }


def _item(view: MapView, edge: EdgeKey, found: Calls, now: float) -> dict[str, Any]:
    known = edge[0] in view.graph and edge[1] in view.graph.callees(edge[0])
    usual = view.counts(edge, now - 3_600, now).quantile_ms(0.95) if known else None
    return {
        "caller": edge[0],
        "callee": edge[1],
        "calls": found.calls,
        "errors": found.errors,
        "duration_ms": round(found.longest_ms, 3) if found.longest_ms > 0 else None,
        "usual_p95_ms": usual,
        "slower": usual is not None and found.longest_ms > usual,
        "edge": answers.edge(view, *edge, now) if known else None,
    }
