"""One trace laid over the map: each of its calls beside what the map knows of the same edge. Pure."""

from __future__ import annotations

from typing import Any

from bot.enrich import answers
from bot.enrich.coverage import coverage, coverage_json
from bot.enrich.view import MapView
from bot.layers.linker import link
from bot.model import EdgeKey
from bot.telemetry.spans import SpanBatch


def overlay(view: MapView, batch: SpanBatch, now: float) -> dict[str, Any]:
    """The calls of every trace in `batch` in order of time: `{"traces","spans","items":[{"caller","callee","calls","errors",
    "duration_ms","usual_p95_ms","slower","edge"}…]}`. `edge` is None for a call the map has never seen; a call is `slower`
    where its longest took longer than the edge usually does (p95 of the last hour)."""
    found: dict[EdgeKey, list[float]] = {}
    started: dict[EdgeKey, int] = {}
    for trace_id, spans in batch.traces.items():
        for caller, callee, minute, failed, duration, _weight in link(spans, trace_id in batch.tangled):
            calls = found.setdefault((caller, callee), [0, 0, 0.0])
            started[caller, callee] = min(started.get((caller, callee), minute), minute)
            calls[0] += 1
            calls[1] += failed
            calls[2] = max(calls[2], duration / 1e6)
    items = [_item(view, edge, found[edge], now) for edge in sorted(found, key=lambda edge: (started[edge], edge))]
    return {
        "traces": len(batch.traces),
        "spans": batch.accepted,
        "rejected": batch.rejected,
        "new": sum(item["edge"] is None for item in items),
        "items": items,
        "as_of": answers.iso(now),
        "coverage": coverage_json(coverage(view, {end for edge in found for end in edge}, now)),
    }


def _item(view: MapView, edge: EdgeKey, calls: list[float], now: float) -> dict[str, Any]:
    known = edge[0] in view.graph and edge[1] in view.graph.callees(edge[0])
    usual = view.counts(edge, now - 3_600, now).quantile_ms(0.95) if known else None
    return {
        "caller": edge[0],
        "callee": edge[1],
        "calls": int(calls[0]),
        "errors": int(calls[1]),
        "duration_ms": round(calls[2], 3) if calls[2] > 0 else None,
        "usual_p95_ms": usual,
        "slower": usual is not None and calls[2] > usual,
        "edge": answers.edge(view, *edge, now) if known else None,
    }
